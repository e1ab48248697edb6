"""``training=fit``: Keras's own ``fit``, one epoch a call, on any Keras backend.

The same initial weights, the same batches in the same order and the same Adam as ``training=compiled``, so the
same results; slower, because Python starts every step. Keras trains on the last, incomplete batch as it is.
"""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
from keras import ops

from jointdec.config import Config
from jointdec.data.dataset import Dataset, Split
from jointdec.losses.keras_formulation import KerasFormulation
from jointdec.training.batchwise import dense_labels, evaluate_batchwise
from jointdec.training.order import batch_order
from jointdec.training.result import STEP_METRICS, EpochResult, training_means


class FitTraining:
    """Trains a Keras formulation, an epoch a call.

    Attributes:
        compile_seconds: what the first epoch took beyond the median of its steps; 0 before it.
    """

    def __init__(self, config: Config, formulation: KerasFormulation, dataset: Dataset) -> None:
        self._formulation, self._config, self._dataset = formulation, config, dataset
        self._labels = dense_labels(dataset.train)
        # Keras turns a Python float into a float32 tensor first: in float64 its Adam would decay with 0.99900001
        number = np.float64 if config.training.precision == "float64" else float
        adam = RecordedAdam(
            config.optimizer.learning_rate,
            beta_1=number(0.9),
            beta_2=number(0.999),
            epsilon=config.optimizer.epsilon,
        )
        half = config.training.precision == "float16"
        optimizer = keras.optimizers.LossScaleOptimizer(adam) if half else adam
        # Torch is left eager: there "jit" is a C++ compiler at run time, which Keras does not ask for by itself either
        jit = config.training.jit and keras.backend.backend() != "torch"
        formulation.compile_model(optimizer=optimizer, jit_compile=jit, auto_scale_loss=False)
        self._curves = _Curves(adam)
        self.compile_seconds = 0.0

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train on every molecule once, in the order of (seed, epoch), then evaluate the validation split."""
        train, batch_size = self._dataset.train, self._config.training.batch_size
        order = batch_order(self._config.seed, epoch, len(train))
        start = time.perf_counter()
        self._formulation.model.fit(
            train.features[order],
            {head: labels[order] for head, labels in self._labels.items()},
            batch_size=batch_size,
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            verbose=0,
            callbacks=[self._curves],
        )
        seconds = time.perf_counter() - start
        rows = np.array(self._curves.rows, dtype=np.float64)
        if not self.compile_seconds:
            steady = len(rows) * float(np.median(np.diff(self._curves.ended, prepend=start)))
            seconds, self.compile_seconds = steady, seconds - steady
        steps = dict(zip(STEP_METRICS, rows.T, strict=True))
        return EpochResult(
            epoch=epoch,
            first_step=epoch * len(rows),
            steps=steps,
            train=training_means(steps, len(train), batch_size),
            val=self.evaluate(self._dataset.val),
            seconds=seconds,
        )

    def evaluate(self, split: Split) -> dict[str, float]:
        """Means over a split: loss, nodes, edges, node_accuracy, edge_accuracy, exact."""
        return evaluate_batchwise(
            self._formulation, split, ops.convert_to_tensor, lambda value: float(ops.convert_to_numpy(value))
        )


class RecordedAdam(keras.optimizers.Adam):  # type: ignore[misc]  # Keras ships no types
    """Keras's Adam, which also writes down the 2-norm of the gradient that it applied last."""

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the state for these variables."""
        if not self.built:
            self.grad_norm = keras.Variable(0.0, trainable=False, dtype=variables[0].dtype, name="grad_norm")
            self._track_variable(self.grad_norm)
        super().build(variables)

    def apply(self, grads: list[Any], trainable_variables: list[keras.Variable] | None = None) -> Any:  # noqa: ANN401 (Keras's own signature)
        """Take one step."""
        if trainable_variables is not None:
            self.build(trainable_variables)
        self.grad_norm.assign(ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in grads)))
        return super().apply(grads, trainable_variables)


class _Curves(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Collects an epoch's rows of STEP_METRICS."""

    def __init__(self, adam: RecordedAdam) -> None:
        super().__init__()
        self._adam, self._updates = adam, 0
        self.rows: list[list[float]] = []
        self.ended: list[float] = []  # seconds

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Forget the epoch before."""
        self.rows, self.ended = [], []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Note one step."""
        assert logs is not None
        _ = self.model  # on JAX, reading it brings the optimizer's variables up to date
        updates = int(ops.convert_to_numpy(self._adam.iterations))
        norm = float(ops.convert_to_numpy(self._adam.grad_norm)) if updates > self._updates else 0.0
        self._updates = updates
        self.rows.append([float(logs[f"step_{name}"]) for name in ("loss", "nodes", "edges")] + [norm])
        self.ended.append(time.perf_counter())
