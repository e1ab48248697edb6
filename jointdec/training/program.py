"""``training=compiled``: an epoch is ONE XLA program, from shuffled indices to per-step curves.

The data lie on the device as floats and integer labels. A while loop gathers a batch, one-hots its labels, runs
forward, backward and Adam, and writes down the step's losses and gradient norm; Python waits outside. The last,
incomplete batch is a second loop body with its own static size in the same program, so that every molecule
counts once an epoch and the mean is over the batch's true size, as in Keras's ``fit``.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tensorflow as tf

from jointdec.config import Config
from jointdec.data.dataset import Dataset, Split
from jointdec.losses.formulation import Formulation
from jointdec.training.adam import Adam
from jointdec.training.evaluation import Arrays, Evaluation, on_device
from jointdec.training.loss_scale import LossScale
from jointdec.training.order import batch_order
from jointdec.training.result import STEP_METRICS, EpochResult, training_means

Tensor = Any  # TensorFlow has no types


class CompiledTraining:
    """Trains a formulation, an epoch a call. The constructor compiles.

    Attributes:
        compile_seconds: wall time that the compilation took.
    """

    def __init__(self, config: Config, formulation: Formulation, dataset: Dataset) -> None:
        self._formulation = formulation
        self._seed, self._batch_size = config.seed, config.training.batch_size
        self._dtype = tf.float64 if config.training.precision == "float64" else tf.float32
        self._variables = list(formulation.variables.values())
        self._adam = Adam(self._variables, config.optimizer.learning_rate, config.optimizer.epsilon)
        self._loss_scale = LossScale() if config.training.precision == "float16" else None
        self._train, self._val = on_device(dataset.train, self._dtype), on_device(dataset.val, self._dtype)
        self._size = len(dataset.train)
        self._steps = -(-self._size // self._batch_size)
        self._program = tf.function(self._epoch, jit_compile=config.training.jit, autograph=False)
        self._evaluation = Evaluation(formulation, config.training.jit)
        start = time.perf_counter()
        self._run(epoch=0, steps=0)
        self._evaluation(self._val)
        self.compile_seconds = time.perf_counter() - start

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train on every molecule once, in the order of (seed, epoch), then evaluate the validation split."""
        start = time.perf_counter()
        curves = self._run(epoch, self._steps)
        seconds = time.perf_counter() - start
        steps = dict(zip(STEP_METRICS, curves.astype(np.float64).T, strict=True))
        return EpochResult(
            epoch=epoch,
            first_step=epoch * self._steps,
            steps=steps,
            train=training_means(steps, self._size, self._batch_size),
            val=self._evaluation(self._val),
            seconds=seconds,
        )

    def evaluate(self, split: Split) -> dict[str, float]:
        """Means over a split: loss, nodes, edges, node_accuracy, edge_accuracy, exact."""
        return self._evaluation(on_device(split, self._dtype))

    def _run(self, epoch: int, steps: int) -> Any:  # noqa: ANN401 (a numpy array, for all mypy knows of TensorFlow)
        order = tf.constant(batch_order(self._seed, epoch, self._size))
        return self._program(*self._train, order, tf.constant(steps)).numpy()

    def _epoch(self, features: Tensor, nodes: Tensor, edges: Tensor, order: Tensor, stop: Tensor) -> Tensor:
        """The program: curves (steps, 4) of STEP_METRICS; steps from ``stop`` on are not taken, their rows 0.

        A first call with ``stop`` = 0 compiles without training.
        """
        data = Arrays(features, nodes, edges)
        full, rest = divmod(self._size, self._batch_size)
        state = (tf.constant(0), tf.zeros((self._steps, len(STEP_METRICS)), self._dtype))
        for size, limit in ((self._batch_size, full), (rest, self._steps)):
            if size == 0 or limit == 0:
                continue

            def body(step: Tensor, curves: Tensor, size: int = size) -> tuple[Tensor, Tensor]:
                batch = data.rows(tf.slice(order, [step * self._batch_size], [size]))
                row = self._step(batch)
                return step + 1, tf.tensor_scatter_nd_update(curves, [[step]], [row])

            state = tf.while_loop(lambda step, _, limit=limit: step < tf.minimum(stop, limit), body, state)
        return state[1]

    def _step(self, batch: Arrays) -> Tensor:
        """One optimizer step; the batch's STEP_METRICS, (4,)."""
        with tf.GradientTape() as tape:
            heads = self._formulation.heads(batch.features)
            losses = self._formulation.loss(batch.labels(heads), heads)
            objective = self._loss_scale.scale(losses["loss"]) if self._loss_scale else losses["loss"]
        gradients = tape.gradient(objective, self._variables)
        if self._loss_scale:
            gradients = self._loss_scale.unscale(gradients)
        norm = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(gradient)) for gradient in gradients]))
        if self._loss_scale:
            overflow = self._loss_scale.adjust(tf.math.is_finite(norm))
            self._adam.apply(gradients, keep=~overflow)
            norm = tf.where(overflow, tf.zeros_like(norm), norm)  # no update was made
        else:
            self._adam.apply(gradients)
        return tf.stack([losses["loss"], losses["nodes"], losses["edges"], norm])
