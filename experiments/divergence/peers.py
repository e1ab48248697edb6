"""What the usual tools say of the same cases: TerminateOnNaN, check_numerics, PyTorch's anomaly mode.

Each gets the same network, weights, moments and batches. check_numerics needs a graph without XLA.
"""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from cases import Case
from observe import advance, prepare

from jointdec.config import Config
from jointdec.dataset import Dataset
from jointdec.objective.formulation import make_formulation
from jointdec.objective.keras_formulation import KerasFormulation
from jointdec.problems.molecules.dataset import dense_labels
from jointdec.training.fit import FitTraining
from jointdec.training.order import batch_of_step, batch_order, steps_per_epoch


@dataclass(frozen=True)
class Said:
    """What a tool reported: the step at which it did, None if it stayed silent, and its words."""

    step: int | None
    words: str = ""


class Count(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Counts finished steps."""

    done = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """One more."""
        self.done += 1


def terminate_on_nan(case: Case) -> Said:
    """Keras's callback looks at the loss in the logs, a running mean, and stops."""
    config, dataset = prepare(case, "training=fit", "training.on_divergence=continue")
    training, first = _fit(case, config, dataset)
    count, printed = Count(), io.StringIO()
    with contextlib.redirect_stdout(printed):
        _train(training, (config, dataset), case.epochs, first, [keras.callbacks.TerminateOnNaN(), count])
    said = re.search(r"Batch \d+: [^\n]*", printed.getvalue())
    return Said(first + count.done - 1, "a batch's number") if said else Said(None)


def check_numerics(case: Case) -> Said:
    """TensorFlow checks the output of every op, and raises with the op's type and where it was made."""
    tf.debugging.enable_check_numerics()
    try:
        config, dataset = prepare(case, "training=fit", "training.jit=false", "training.on_divergence=continue")
        training, first = None, 0
        with contextlib.redirect_stderr(io.StringIO()):
            training, first = _fit(case, config, dataset)
            count = Count()
            _train(training, (config, dataset), case.epochs, first, [count])
    except (tf.errors.InvalidArgumentError, tf.errors.InternalError) as error:
        found = re.search(r'output \d+ of (?:eagerly-executing|graph) op "(\w+)"', str(error))
        return Said(first + count.done, f"op {found.group(1)}" if found else "an op")
    finally:
        tf.debugging.disable_check_numerics()
    return Said(None)


def anomaly_mode(case: Case) -> Said | None:
    """PyTorch names the backward function that returned NaN; None where it is not installed or was not ported."""
    try:
        import torch
    except ModuleNotFoundError:
        return None
    if "training.precision=float16" in case.overrides:
        return None
    from torch_decoder import Trainer

    config, dataset = prepare(case, "training=fit")
    training, first = _fit(case, config, dataset)
    trainer = Trainer(config, training.state())
    labels, size = dense_labels(dataset.train), config.training.batch_size
    steps = steps_per_epoch(len(dataset.train), size)
    with torch.autograd.set_detect_anomaly(True), contextlib.redirect_stderr(io.StringIO()):
        for step in range(first, case.epochs * steps):
            batch = batch_of_step(config.seed, step, len(dataset.train), size)
            try:
                trainer.step(dataset.train.x[batch], {head: array[batch] for head, array in labels.items()})
            except RuntimeError as error:
                found = re.search(r"Function '(\w+)'", str(error))
                return Said(step, found.group(1) if found else str(error)[:60])
    return Said(None)


def _fit(case: Case, config: Config, dataset: Dataset) -> tuple[FitTraining, int]:
    formulation = make_formulation(config)
    assert isinstance(formulation, KerasFormulation)
    training = FitTraining(config, formulation, dataset)
    return training, advance(case, training)


def _train(
    training: FitTraining,
    on: tuple[Config, Dataset],
    epochs: int,
    first: int,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    config, dataset = on
    labels, size = dense_labels(dataset.train), config.training.batch_size
    model = training._formulation.model
    model.stop_training = False
    for epoch in range(epochs):
        order = batch_order(config.seed, epoch, len(dataset.train))[(first * size if epoch == 0 else 0) :]
        batch = {head: array[order] for head, array in labels.items()}
        model.fit(
            dataset.train.x[order],
            batch,
            batch_size=size,
            shuffle=False,
            verbose=0,
            initial_epoch=epoch,
            epochs=epoch + 1,
            callbacks=callbacks,
        )
        if model.stop_training:
            return
