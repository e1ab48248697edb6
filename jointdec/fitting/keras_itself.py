"""`jointdec.fit` where Keras's own loop has to train: callbacks that want batches, generators, other backends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import pandas as pd
import tensorflow as tf

from jointdec.errors import BadArgument
from jointdec.fitting.data import Asked, Given
from jointdec.fitting.run import Run
from jointdec.interrupt import StopRequest, stop_request
from jointdec.reporting.terminal import FitTerminal
from jointdec.tracking.tracker import Tracker
from jointdec.training.inputs import read_examples, split_off, unpack_validation
from jointdec.training.step import head_name, numbers, read


def reason(model: keras.Model, given: Given, callbacks: Sequence[keras.callbacks.Callback]) -> str | None:
    """Why Keras's own loop has to train; None where it need not."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        return f"Keras runs on {backend}, and programs need TensorFlow"
    if names := that_want_batches(callbacks):
        return f"{', '.join(names)} wants every batch"
    if getattr(model, "run_eagerly", False):
        return "the model was compiled with run_eagerly=True"
    if model.distribute_strategy.num_replicas_in_sync > 1:
        return f"the model is spread over {model.distribute_strategy.num_replicas_in_sync} replicas"
    return _of_data(given.x) or _of_data(given.validation_data)


def _of_data(data: Any) -> str | None:  # noqa: ANN401 (whatever Keras takes)
    if _makes_batches(data):
        return f"{type(data).__name__} makes its batches in Python"
    if isinstance(data, tf.data.Dataset) and not _alike(data):
        return "the data set has batches of several shapes"
    return None


def _makes_batches(data: Any) -> bool:  # noqa: ANN401
    return isinstance(data, keras.utils.PyDataset) or hasattr(data, "__next__")


def _alike(dataset: tf.data.Dataset) -> bool:
    """Whether all batches may have one shape, but for the number of examples; where none is told, they are to."""
    return all(
        isinstance(spec, tf.TensorSpec) and (spec.shape.rank is None or spec.shape[1:].is_fully_defined())
        for spec in tf.nest.flatten(dataset.element_spec)
    )


def _has_its_order(data: Any) -> bool:  # noqa: ANN401
    return isinstance(data, tf.data.Dataset) or hasattr(data, "__next__")


def _check(model: keras.Model, given: Given) -> None:
    """Refuse arrays as `jointdec.fitting.data.prepare` does."""
    if _are_arrays(given.x):
        examples = read_examples(model, given.x, given.y, given.sample_weight, given.class_weight)
        if given.validation_data is None and given.validation_split:
            split_off(examples, given.validation_split)
    if given.validation_data is not None and _are_arrays(given.validation_data):
        unpack_validation(model, given.validation_data)


def _are_arrays(data: Any) -> bool:  # noqa: ANN401
    return not (_makes_batches(data) or isinstance(data, tf.data.Dataset))


class KerasItself:
    """A training by ``model.fit``. There are no curves over steps, and the guard is Keras's TerminateOnNaN."""

    described = ("data", "none", dict[str, Sequence[int]]())
    total_steps = 0

    def __init__(
        self, model: keras.Model, given: Given, asked: Asked, callbacks: Sequence[keras.callbacks.Callback]
    ) -> None:
        _check(model, given)
        if asked.on_divergence == "skip":
            raise BadArgument(
                "on_divergence='skip' needs jointdec's programs, and Keras's own loop trains here: use 'stop'."
            )
        self._model, self._given, self._asked, self._callbacks = model, given, asked, list(callbacks)
        if asked.on_divergence == "stop":
            self._callbacks.append(keras.callbacks.TerminateOnNaN())

    @property
    def settings(self) -> dict[str, object]:
        """What decided the training, for the record."""
        names = ("epochs", "initial_epoch", "shuffle", "batch_size", "on_divergence")
        return {name: getattr(self._asked, name) for name in names} | {"loop": "keras"}

    def train(self, tracker: Tracker, folder: Path, said: FitTerminal) -> Run:
        """See `jointdec.fitting.programs.ProgramTraining.train`."""
        asked, given = self._asked, self._given
        with stop_request() as stop:
            record = _Record(tracker, self._model, stop)
            history = self._model.fit(
                **given._asdict(),
                epochs=asked.epochs,
                batch_size=asked.batch_size,
                shuffle=asked.shuffle and not _has_its_order(given.x),  # else Keras warns that it does not
                initial_epoch=asked.initial_epoch,
                callbacks=[*self._callbacks, record],
                verbose=said.keras_verbose,
            ).history
        finite = all(pd.notna(value) and abs(value) != float("inf") for value in history.get("loss", []))
        return Run(
            model=self._model,
            history=history,
            steps=pd.DataFrame(),
            norms=pd.DataFrame(),
            epochs=pd.DataFrame(record.rows, index=pd.Index(record.epochs, name="epoch")),
            outcome="diverged" if not finite else "interrupted" if stop.made else "finished",
            divergence=None,
            jit=bool(self._model.jit_compile),
            run_id=tracker.run_id,
            where=tracker.where,
        )


class _Record(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Records each epoch, and ends the training after one when that is wished."""

    def __init__(self, tracker: Tracker, model: keras.Model, stop: StopRequest) -> None:
        super().__init__()
        self._tracker, self._of, self._stop = tracker, model, stop
        self.rows: list[dict[str, float]] = []
        self.epochs: list[int] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note the epoch."""
        row = {}
        for name, value in numbers(read(logs or {})).items():
            split, log = ("val", name.removeprefix("val_")) if name.startswith("val_") else ("train", name)
            row[f"{split}/{head_name(self._of, log)}"] = value
        self.rows.append(row | {"seconds": time.perf_counter() - self._began})
        self.epochs.append(epoch)
        self._tracker.log_metrics(row, epoch)
        if self._stop.made:
            self._of.stop_training = True


BATCH_METHODS = (
    *("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"),
    *("on_test_batch_begin", "on_test_batch_end"),
)


def that_want_batches(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Names of the classes of those callbacks that do something in every batch, and so need Keras's own loop."""
    return [type(callback).__name__ for callback in callbacks if _wants_batches(callback)]


def listed(callbacks: Any) -> list[keras.callbacks.Callback]:  # noqa: ANN401 (None, one, several or a CallbackList)
    """The callbacks that ``fit`` was given, one by one.

    Raises:
        BadArgument: one is no callback.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    found: list[keras.callbacks.Callback] = keras.tree.flatten([] if callbacks is None else callbacks)
    for callback in found:
        if not isinstance(callback, keras.callbacks.Callback):
            raise BadArgument(
                f"callbacks has {callback!r}, but must be one of keras.callbacks, or a list of them: a class is called "
                "first, and a function goes into keras.callbacks.LambdaCallback."
            )
    return found


def _wants_batches(callback: keras.callbacks.Callback) -> bool:
    for name in BATCH_METHODS:
        method = getattr(callback, name)
        if getattr(method, "_is_default", False):
            continue
        if not str(getattr(method, "__module__", "")).startswith("keras."):
            return True
        if _keras_own_does_something(callback):
            return True
    return False


def _keras_own_does_something(callback: keras.callbacks.Callback) -> bool:
    """Keras's own methods for batches do nothing in most settings; the guard does more than TerminateOnNaN."""
    if isinstance(callback, keras.callbacks.TensorBoard):
        return bool(callback.update_freq != "epoch" or callback._should_trace)
    return getattr(callback, "save_freq", "epoch") != "epoch"
