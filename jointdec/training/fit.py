"""``training=fit``: Keras's own ``fit``, one epoch a call, on any Keras backend.

The same initial weights, the same batches in the same order and the same optimizer as ``training=compiled``, so the
same results; slower, because Python starts every step. Keras trains on the last, incomplete batch as it is.
"""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
from keras import ops

from jointdec.config import BETA_1, BETA_2, AdamConfig, Config, OptimizerConfig
from jointdec.data.dataset import Dataset, Split
from jointdec.losses.keras_formulation import KerasFormulation
from jointdec.training.batchwise import dense_labels, evaluate_batchwise
from jointdec.training.loop import Loop, Rows
from jointdec.training.result import STEP_METRICS
from jointdec.training.state import State


class FitTraining(Loop):
    """Trains a Keras formulation, an epoch a call. The first epoch compiles."""

    def __init__(self, config: Config, formulation: KerasFormulation, dataset: Dataset) -> None:
        super().__init__(config, dataset)
        self._formulation = formulation
        self._labels = dense_labels(dataset.train)
        self._optimizer = keras_optimizer(config.optimizer, config.training.precision)
        half = config.training.precision == "float16"
        self._loss_scale = keras.optimizers.LossScaleOptimizer(self._optimizer) if half else None
        # Torch is left eager: there "jit" is a C++ compiler at run time, which Keras does not ask for by itself either
        jit = config.training.jit and keras.backend.backend() != "torch"
        optimizer = self._loss_scale or self._optimizer
        formulation.compile_model(optimizer=optimizer, jit_compile=jit, auto_scale_loss=False)
        optimizer.build(formulation.model.trainable_variables)
        trained = [id(variable) for variable in formulation.model.trainable_variables]
        self._places = [trained.index(id(variable)) for variable in formulation.variables.values()]
        self._curves = _Curves(self._optimizer, self._loss_scale, self._places, self.stops)

    def run_steps(self, epoch: int, first: int, stop: int) -> Rows:
        """See `Loop.run_steps`."""
        train, size = self._dataset.train, self._batch_size
        batches = self.order(epoch)[first * size : stop * size]
        if not len(batches):
            return self._curves.taken([])
        start = time.perf_counter()
        self._formulation.model.fit(
            train.features[batches],
            {head: labels[batches] for head, labels in self._labels.items()},
            batch_size=size,
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
        return self._curves.taken(self._curves.rows)

    def evaluate(self, split: Split) -> dict[str, float]:
        """See `Loop.evaluate`."""
        return evaluate_batchwise(
            self._formulation, split, ops.convert_to_tensor, lambda value: float(ops.convert_to_numpy(value))
        )

    def state(self) -> State:
        """See `Loop.state`."""
        places = list(zip(self._formulation.variables, self._places, strict=True))
        slots = {
            slot: {name: np.array(group[place]) for name, place in places}
            for slot, group in self._optimizer.slots.items()
        }
        scale = None
        if self._loss_scale:
            scale = _number(self._loss_scale.dynamic_scale), int(_number(self._loss_scale.step_counter))
        iterations = int(_number(self._optimizer.iterations))
        return State(self._formulation.get_weights(), **slots, iterations=iterations, loss_scale=scale)

    def restore(self, state: State) -> None:
        """See `Loop.restore`."""
        self._formulation.set_weights(state.weights)
        for slot, group in self._optimizer.slots.items():
            for name, place in zip(self._formulation.variables, self._places, strict=True):
                group[place].assign(getattr(state, slot)[name])
        self._optimizer.iterations.assign(state.iterations)
        if self._loss_scale and state.loss_scale:
            self._loss_scale.dynamic_scale.assign(state.loss_scale[0])
            self._loss_scale.step_counter.assign(state.loss_scale[1])


class Recorded(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras ships no types
    """A Keras optimizer which also writes down each variable's squared 2-norm of the gradient that it applied last.

    Attributes:
        slots: `State`'s names of the optimizer's variables, which are in the order of the trained ones.
    """

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the state for these variables."""
        if not self.built:
            options = {"trainable": False, "dtype": variables[0].dtype, "name": "squared_norms"}
            self.squared_norms = keras.Variable(np.zeros(len(variables)), **options)
            self._track_variable(self.squared_norms)
        super().build(variables)

    def apply(self, grads: list[Any], trainable_variables: list[keras.Variable] | None = None) -> Any:  # noqa: ANN401 (Keras's own signature)
        """Take one step."""
        if trainable_variables is not None:
            self.build(trainable_variables)
        self.squared_norms.assign(ops.stack([ops.sum(ops.square(gradient)) for gradient in grads]))
        return super().apply(grads, trainable_variables)

    @property
    def slots(self) -> dict[str, list[keras.Variable]]:
        """None in plain gradient descent."""
        return {}


class RecordedSgd(Recorded, keras.optimizers.SGD):  # type: ignore[misc]  # Keras ships no types
    """Keras's SGD, recorded."""


class RecordedAdam(Recorded, keras.optimizers.Adam):  # type: ignore[misc]  # Keras ships no types
    """Keras's Adam, recorded."""

    @property
    def slots(self) -> dict[str, list[keras.Variable]]:
        """Adam's m and v."""
        return {"first": self._momentums, "second": self._velocities}


def keras_optimizer(config: OptimizerConfig, precision: str) -> Recorded:
    """The optimizer that the configuration names."""
    if not isinstance(config, AdamConfig):
        return RecordedSgd(config.learning_rate)
    # Keras turns a Python float into a float32 tensor first: in float64 its Adam would decay with 0.99900001
    number = np.float64 if precision == "float64" else float
    betas = {"beta_1": number(BETA_1), "beta_2": number(BETA_2)}
    return RecordedAdam(config.learning_rate, epsilon=config.epsilon, **betas)


class _Curves(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Collects the rows of the steps, and ends ``fit`` at a bad one."""

    def __init__(
        self,
        optimizer: Recorded,
        loss_scale: keras.optimizers.LossScaleOptimizer | None,
        places: list[int],
        stops: bool,
    ) -> None:
        super().__init__()
        self._optimizer, self._loss_scale, self._places, self._stops = optimizer, loss_scale, places, stops
        self.rows: list[list[float]] = []
        self.ended: list[float] = []  # seconds

    def taken(self, rows: list[list[float]]) -> Rows:
        """The rows as an array, also if there are none."""
        return np.array(rows, np.float64).reshape(len(rows), len(STEP_METRICS) + len(self._places) // 2)

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
        squares = ops.convert_to_numpy(self._optimizer.squared_norms)[self._places]
        if updates == self._updates:  # the loss scale's fault, unless there was none left to halve
            assert self._loss_scale is not None
            squares = np.full_like(squares, np.nan if _number(self._loss_scale.dynamic_scale) < 1 else 0.0)
        self._updates = updates
        layers = squares.reshape(-1, 2).sum(1)  # kernel and bias
        losses = [float(logs[f"step_{name}"]) for name in ("loss", "nodes", "edges")]
        row = [*losses, *np.sqrt([layers.sum(), *layers]).tolist()]
        self.rows.append(row)
        self.ended.append(time.perf_counter())
        if self._stops and not np.isfinite(row).all():
            self.model.stop_training = True


def _number(variable: keras.Variable) -> float:
    return float(ops.convert_to_numpy(variable))
