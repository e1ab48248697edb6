"""`jointdec.fit`: where ``model.fit(x, y, epochs=20)`` stood, with its result, one program an epoch, and a record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras

from jointdec.fitting.data import Asked, Given, require_names
from jointdec.fitting.keras_itself import KerasItself, listed, reason
from jointdec.fitting.programs import ProgramTraining
from jointdec.fitting.run import Run
from jointdec.reporting.fit_record import params_of
from jointdec.reporting.terminal import FitTerminal
from jointdec.tracking.tracker import open_fit_tracker
from jointdec.training.checks import require_compiled
from jointdec.training.compiled import Jit


def fit(  # noqa: PLR0913 (Keras's fit has as many)
    model: keras.Model,
    x: Any,  # noqa: ANN401 (whatever Keras takes)
    y: Any = None,  # noqa: ANN401
    *,
    sample_weight: Any = None,  # noqa: ANN401
    class_weight: Mapping[int, float] | None = None,
    validation_data: Any = None,  # noqa: ANN401
    validation_split: float = 0.0,
    epochs: int = 1,
    batch_size: int | None = None,
    shuffle: bool = True,
    initial_epoch: int = 0,
    callbacks: Any = None,  # noqa: ANN401
    verbose: int | str = "auto",
    seed: int = 0,
    jit: Jit = "auto",
    on_divergence: str = "stop",
    norms: int = 20,
    tracking: str = "mlflow",
    experiment: str = "jointdec",
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    memory: int | None = None,
) -> Run:
    """Train a compiled Keras model as its own ``fit`` does, many steps as one program, and record it.

    What Keras's ``fit`` has by the same name means the same and has the same default. A model that overrides
    ``train_step`` trains by its own. Where a callback wants every batch, or the data are a generator, or Keras runs on
    another backend than TensorFlow, Keras's own loop trains, and that is said.

    Args:
        model: compiled.
        x: inputs with a row an example: array, dict or tuple of arrays, memory-mapped ones too; or a
            ``tf.data.Dataset`` of batches.
        y: labels, as the losses of ``compile`` take them.
        sample_weight: one weight an example, or a tree of weights by output.
        class_weight: weight of each class, for a model with one output.
        validation_data: (x, y), (x, y, sample_weight) or a ``tf.data.Dataset``, evaluated after each epoch.
        validation_split: the last share of the examples to hold out instead.
        epochs: number of the last epoch.
        batch_size: examples in a step; 32 by default. A ``tf.data.Dataset`` has its own.
        shuffle: a new order every epoch, a function of ``seed`` and the epoch.
        initial_epoch: number of the first epoch, from 0.
        callbacks: Keras's callbacks, called at the boundaries of epochs.
        verbose: 0 says nothing, 2 a line an epoch, 1 and "auto" a bar at a terminal or in a notebook.
        seed: of the order of batches. Random numbers in the model come from its own seed generators.
        jit: compile with XLA, or not; "auto" times both and keeps the faster.
        on_divergence: at a step with a NaN or Inf "stop" with the weights of before it, "skip" its batch, up to ten in
            all, or "continue".
        norms: gradient norms are taken in every so many'th step.
        tracking: "mlflow" (MLFLOW_TRACKING_URI, else mlflow.db in this folder), "none", or a tracking URI.
        experiment: MLflow's experiment.
        name: of the run; made from the model's by default.
        tags: of the run.
        memory: bytes that data may take on the device; half of what is free by default. Larger data are streamed.

    Raises:
        UserError: bad input; one of `jointdec.errors`, in one sentence, before anything is recorded or trained.
    """
    asked = Asked(epochs, batch_size, shuffle, initial_epoch, seed, jit, on_divergence, norms, memory)
    require_names(tracking, experiment, name, tags)
    require_compiled(model)
    said, called = FitTerminal(verbose), listed(callbacks)
    given = Given(x, y, sample_weight, class_weight, validation_data, validation_split)
    training: ProgramTraining | KerasItself
    if why := reason(model, given, called):
        said.note(f"Keras's own loop trains, more slowly: {why}.")
        training = KerasItself(model, given, asked, called)
    else:
        training = ProgramTraining(model, given, asked, called, said)
    params = params_of(model, **training.settings)
    tracker = open_fit_tracker(tracking, experiment, name, tags or {}, params, None, training.total_steps)
    with tracker, TemporaryDirectory() as folder:
        tracker.log_arrays(*training.described)
        run = training.train(tracker, Path(folder), said)
        tracker.finish(run.outcome)
    if run.divergence:
        said.note(f"diverged     {run.divergence.sentence}")
    said.note(f"outcome      {run.outcome}")
    said.note(f"record       {run.where}")
    return run
