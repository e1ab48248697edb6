"""``training=fit``: Keras's own ``fit``, one chunk a call, on any Keras backend.

The same initial weights, the same batches in the same order and the same optimizer as ``training=compiled``, so the
same results; slower, because Python starts every step. Keras trains on the last, incomplete batch as it is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from jointdec.config import Config
from jointdec.dataset import Dataset, Split, map_leaves
from jointdec.objective.keras_formulation import KerasFormulation
from jointdec.training.evaluation import evaluate_batchwise
from jointdec.training.feed import CHUNK
from jointdec.training.from_config import keras_optimizer, layers_of, policy_of
from jointdec.training.loop import Loop, Steps
from jointdec.training.order import batch_order
from jointdec.training.state import State, by_path

NORMS = "squared_norms"  # the variable that carries them out of the compiled step


class FitTraining(Loop):
    """Trains a Keras formulation. The first chunk compiles."""

    capacity = CHUNK

    def __init__(self, config: Config, formulation: KerasFormulation, dataset: Dataset) -> None:
        super().__init__(len(dataset.train), config.training.batch_size, policy_of(config), dataset.val)
        self._config, self._formulation, self._train = config, formulation, dataset.train
        self.columns, self.layers = formulation.curves, layers_of(formulation)
        labels = formulation.labels(dataset.train.y, formulation.dtype)
        self._labels = {head: ops.convert_to_numpy(array) for head, array in labels.items()}
        optimizer = keras_optimizer(config.optimizer, config.training.precision, RecordedAdam, RecordedSgd)
        # Torch is left eager: there "jit" is a C++ compiler at run time, which Keras does not ask for by itself either
        jit = False if keras.backend.backend() == "torch" else config.training.jit
        formulation.compile_model(optimizer=optimizer, jit_compile=jit, auto_scale_loss=False)
        trained = formulation.model.trainable_variables
        optimizer.build(trained)
        paths = {id(each): path for path, each in formulation.variables.items()}
        layers = [self.layers.index(paths[id(each)].rpartition("/")[0] or paths[id(each)]) for each in trained]
        self._optimizer = optimizer
        self._curves = _Curves(optimizer, self.columns, layers, stops=self.stops)

    def run_steps(self, epoch: int, first: int, stop: int, norms: int) -> Steps:
        """See `Loop.run_steps`. Norms are taken in every step."""
        order = batch_order(self._config.seed, epoch, self._size, reshuffle=self._config.training.reshuffle)
        batches = order[first * self._batch_size : stop * self._batch_size]
        if not len(batches):
            return self.every_step(epoch, first, np.empty(0), norms)
        start = time.perf_counter()
        self._formulation.model.fit(
            map_leaves(lambda array: array[batches], self._train.x),
            {head: labels[batches] for head, labels in self._labels.items()},
            sample_weight=self._weights(batches),
            batch_size=self._batch_size,
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            verbose=0,
            callbacks=[self._curves],
        )
        if not self.compile_seconds:  # what the first epoch took beyond the median of its steps
            ended = self._curves.ended
            steady = len(ended) * float(np.median(np.diff(ended, prepend=start)))
            self.compile_seconds = time.perf_counter() - start - steady
        return self.every_step(epoch, first, np.array(self._curves.rows), norms)

    def evaluate(self, examples: Split) -> dict[str, float]:
        """See `Loop.evaluate`."""
        return evaluate_batchwise(self._formulation, examples)

    def state(self) -> State:
        """See `Loop.state`."""
        return State({path: np.array(ops.convert_to_numpy(each)) for path, each in self._variables().items()})

    def restore(self, state: State) -> None:
        """See `Loop.restore`."""
        for path, variable in self._variables().items():
            variable.assign(state[path])

    def sound(self) -> bool:
        """See `Loop.sound`."""
        if self._curves.scale < 1:  # it hides gradients that no scale makes finite
            return False
        return all(np.isfinite(value).all() for value in self.state().values.values())

    def _weights(self, batches: Any) -> dict[str, Any] | None:  # noqa: ANN401 (rows)
        """Keras wants weights for all heads or for none."""
        weights = self._train.weights
        if not weights:
            return None
        whole = {head: self._formulation.losses[head].places for head in self._labels}
        ones = {head: np.ones((len(batches), *places), np.float32) for head, places in whole.items()}
        return ones | {head: array[batches] for head, array in weights.items()}

    def _variables(self) -> dict[str, keras.Variable]:
        _ = self._formulation.model.optimizer  # on JAX, reading it brings the optimizer's variables up to date
        optimizer = [variable for variable in self._optimizer.variables if variable.name != NORMS]
        return by_path((each.path, each) for each in [*self._formulation.model.weights, *optimizer])


class _Recorded(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras ships no types
    """A Keras optimizer which also writes down each variable's squared 2-norm of the gradient that it applied last."""

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the state for these variables."""
        if not self.built:
            options = {"trainable": False, "dtype": variables[0].dtype, "name": NORMS}
            self.squared_norms = keras.Variable(np.zeros(len(variables)), **options)
            self._track_variable(self.squared_norms)
        super().build(variables)

    def apply(self, grads: list[Any], trainable_variables: list[keras.Variable] | None = None) -> Any:  # noqa: ANN401 (Keras's own signature)
        """Take one step."""
        if trainable_variables is not None:
            self.build(trainable_variables)
        self.squared_norms.assign(ops.stack([ops.sum(ops.square(gradient)) for gradient in grads]))
        return super().apply(grads, trainable_variables)


class RecordedSgd(_Recorded, keras.optimizers.SGD):  # type: ignore[misc]  # Keras ships no types
    """Keras's SGD, recorded."""


class RecordedAdam(_Recorded, keras.optimizers.Adam):  # type: ignore[misc]  # Keras ships no types
    """Keras's Adam, recorded."""


class _Curves(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Collects the rows of the steps, and ends ``fit`` at a loss that is not finite."""

    def __init__(
        self, optimizer: keras.optimizers.Optimizer, columns: Sequence[str], layers: list[int], stops: bool
    ) -> None:
        super().__init__()
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        self._scale = optimizer if scaled else None
        self._optimizer = optimizer.inner_optimizer if scaled else optimizer
        self._columns, self._layers, self._stops = columns, layers, stops
        self.rows: list[list[float]] = []
        self.ended: list[float] = []  # seconds

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Forget the steps before."""
        self.rows, self.ended = [], []
        _ = self.model  # on JAX, reading it brings the optimizer's variables up to date
        self._updates = int(_number(self._optimizer.iterations))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Note one step."""
        assert logs is not None
        _ = self.model
        updates = int(_number(self._optimizer.iterations))
        squares = ops.convert_to_numpy(self._optimizer.squared_norms)
        if updates == self._updates:  # the loss scale's fault: no update is made, and none is missing
            squares = np.zeros_like(squares)
        self._updates = updates
        layers = np.bincount(self._layers, squares)
        losses = [float(logs[name]) for name in self._columns]
        self.rows.append([*losses, *np.sqrt([layers.sum(), *layers]).tolist()])
        self.ended.append(time.perf_counter())
        if self._stops and not np.isfinite(losses).all():
            self.model.stop_training = True

    @property
    def scale(self) -> float:
        """The loss scale; 1 where there is none."""
        return _number(self._scale.dynamic_scale) if self._scale else 1.0


def _number(variable: keras.Variable) -> float:
    return float(ops.convert_to_numpy(variable))
