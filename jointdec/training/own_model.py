"""`jointdec.fit`'s loop: a compiled Keras model of the user's, their arrays or data set, and what Keras would log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import psutil
import tensorflow as tf

from jointdec.training.arrays import Array, cast, keras_dtype
from jointdec.training.compiled import CompiledLoop, Jit
from jointdec.training.feed import DatasetFeed, Feed, Resident, Streamed, require_room
from jointdec.training.held_out import HeldOut
from jointdec.training.inputs import Examples
from jointdec.training.loop import Policy
from jointdec.training.order import batch_order
from jointdec.training.step import Batch, KerasStep, Logs, head_name, numbers

Order = Callable[[int], npt.NDArray[np.integer]]
SHARE = 0.5  # of the free memory that data may take, where nothing is said


class Source(NamedTuple):
    """Batches, and what makes Keras's (x, y, sample_weight) of one.

    Attributes:
        feed: gives flat tuples of tensors.
        pack: such a tuple -> what ``train_step`` takes.
    """

    feed: Feed
    pack: Callable[[Batch], Batch]


class OwnModelLoop(CompiledLoop):
    """Trains a compiled model; `logs` is then what Keras's ``fit`` would log of the epoch.

    Args:
        model: compiled and built.
        train: what it trains on.
        val: what it is validated on after each epoch, if anything.
        policy: about steps that are not finite, and norms.
        jit: see `CompiledLoop`.
        steps: of the whole training.

    Attributes:
        logs: of the last epoch, by Keras's names; those of the validation begin with ``val_``.
        around_test: called before each validation, and with its metrics after it.
    """

    def __init__(  # noqa: PLR0913 (all that makes a training)
        self, model: keras.Model, train: Source, val: Source | None, *, policy: Policy, jit: Jit, steps: int
    ) -> None:
        self._model = model
        self.logs: Logs = {}
        self._metrics: Logs = {}
        self._running: Logs = {}
        self.around_test: tuple[Callable[..., None], Callable[..., None]] = (lambda: None, lambda logs: None)
        optimizer = model.optimizer
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) and not optimizer.built:
            optimizer.build(model.trainable_variables)  # before, it has no scale to read
        self._keras_step = KerasStep(model, train.pack)
        self._held_out = HeldOut(model, val.feed, val.pack) if val else None
        super().__init__(self._keras_step, train.feed, policy, jit=jit, evaluate=self._end_epoch, val=self, steps=steps)

    def log_training(self, last: Mapping[str, float]) -> None:
        """Where a ``train_step`` of the user's logs other things than the model's metrics: what its last step logged.

        Args:
            last: the numbers of the epoch's last step, by the names of `columns`.
        """
        logged = self._keras_step.logs
        if set(logged) == set(self._metrics):
            return
        columns = {name: head_name(self._model, name) for name in logged}
        own = {name: last[column] for name, column in columns.items() if column in last}
        validation = {name: value for name, value in self.logs.items() if name.startswith("val_")}
        self.logs = {name: (own | self._running)[name] for name in logged if name in own | self._running} | validation

    def _end_epoch(self, _: Any) -> dict[str, float]:  # noqa: ANN401 (there is only one thing to evaluate)
        model = self._model
        self._metrics = self._keras_step.epoch_logs()
        # Keras's own loss is a metric of the model, but not of a train_step that does not keep it
        idle = {m.name for m in model.metrics if isinstance(m, keras.metrics.Mean) and float(m.count) == 0}
        self._running = {name: value for name, value in self._metrics.items() if name not in idle}
        self.logs = dict(self._metrics)
        found: Logs = {}
        if self._held_out:
            begin, end = self.around_test
            begin()
            found = self._held_out(self.jit)
            end(found)
        self.logs |= {f"val_{name}": value for name, value in found.items()}
        return numbers(found)


def source_of(examples: Examples, order: Order, batch_size: int, memory: int | None) -> Source:
    """The examples on the device if they fit, else streamed.

    Raises:
        DataTooLarge: not even a few batches fit.
    """
    allowed = free_memory() if memory is None else memory
    tree = examples.tree()
    leaves = [leaf for leaf in keras.tree.flatten(tree) if leaf is not None]

    def pack(batch: Batch) -> Batch:
        tensors = iter(batch)
        packed: Batch = keras.tree.map_structure(lambda leaf: None if leaf is None else next(tensors), tree)
        return packed

    size = min(batch_size, examples.size)
    if examples.nbytes <= allowed:
        return Source(Resident(tuple(cast(leaf) for leaf in leaves), order, size), pack)
    require_room(size, size * -(-examples.nbytes // examples.size), allowed)
    return Source(Streamed(tuple(_InKerasDtype(leaf) for leaf in leaves), order, size, allowed), pack)


def dataset_source(dataset: tf.data.Dataset, memory: int | None) -> Source:
    """A ``tf.data.Dataset`` of batches, streamed."""
    feed = DatasetFeed(dataset, free_memory() if memory is None else memory)
    return Source(feed, lambda batch: batch)


def order_of(seed: int, size: int, *, shuffle: bool) -> Order:
    """The rows of each epoch: a function of nothing but seed and epoch; without ``shuffle`` as they lie."""
    if shuffle:
        return lambda epoch: batch_order(seed, epoch, size)
    return lambda epoch: np.arange(size)


def free_memory() -> int:
    """Bytes that data may take on the device: half of what is free."""
    if tf.config.list_physical_devices("GPU"):
        import pynvml

        pynvml.nvmlInit()
        return int(SHARE * pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).free)
    return int(SHARE * psutil.virtual_memory().available)


class _InKerasDtype:
    """An array in a file whose rows come in the dtype that Keras would make of them."""

    def __init__(self, array: Array) -> None:
        self._array = array
        self.nbytes = array.size * keras_dtype(array.dtype).itemsize

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, rows: npt.NDArray[np.integer]) -> Array:
        return cast(np.asarray(self._array[rows]))
