"""``training=compiled``: an epoch is ONE XLA program, from shuffled indices to per-step curves.

The data lie on the device as floats and integer labels. A while loop gathers a batch, one-hots its labels, runs
forward, backward and Adam, and writes down the step's losses and gradient norms; Python waits outside. The last,
incomplete batch is a second loop body with its own static size in the same program, so that every molecule
counts once an epoch and the mean is over the batch's true size, as in Keras's ``fit``.

Loss weights, alpha, learning rate and Adam's epsilon are scalars on the device, and the order of batches is an
argument: trainings that differ in nothing else share one compilation, see `compiled_for` and `start_over`.

The guard against divergence is part of it: the losses and the squared norm of each variable's gradient, which the
curves need anyway, say whether a step is finite; if not, the loop ends there, see `jointdec.training.loop`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from jointdec.config import AdamConfig, Config, OptimizerConfig, WeightsConfig
from jointdec.data.dataset import Dataset, Split
from jointdec.losses.formulation import Formulation
from jointdec.models.architecture import initial_weights
from jointdec.training.adam import Adam
from jointdec.training.evaluation import Arrays, Evaluation, on_device
from jointdec.training.loop import Loop
from jointdec.training.loss_scale import INITIAL_SCALE, LossScale
from jointdec.training.result import STEP_METRICS
from jointdec.training.sgd import Sgd
from jointdec.training.state import State

Tensor = Any  # TensorFlow has no types


def compiled_for(config: Config) -> Config:
    """What of a configuration is compiled in: those that agree in it can share a `CompiledTraining` by `start_over`."""
    live: dict[str, Any] = {field.name: 0.0 for field in fields(config.optimizer) if field.name != "name"}
    return replace(
        config,
        model=replace(config.model, alpha=0.0, initializer=""),
        loss=replace(config.loss, weights=WeightsConfig(0.0, 0.0)),
        optimizer=replace(config.optimizer, **live),
        training=replace(config.training, epochs=0, max_skipped=0, on_runaway="", reshuffle=True),
        tracking=replace(config.tracking, name="", uri=None, experiment="", log_model=False),
        seed=0,
    )


def make_optimizer(variables: Sequence[Tensor], config: OptimizerConfig) -> Adam | Sgd:
    """The optimizer that the configuration names."""
    return Adam(variables, config) if isinstance(config, AdamConfig) else Sgd(variables, config)


class CompiledTraining(Loop):
    """Trains a formulation, an epoch a call. The constructor compiles."""

    def __init__(self, config: Config, formulation: Formulation, dataset: Dataset) -> None:
        super().__init__(config, dataset)
        self._compiled_for = compiled_for(config)
        self._formulation = formulation
        self._dtype = tf.float64 if config.training.precision == "float64" else tf.float32
        self._variables = list(formulation.variables.values())
        self._optimizer = make_optimizer(self._variables, config.optimizer)
        self._loss_scale = LossScale() if config.training.precision == "float16" else None
        self._train, self._val = on_device(dataset.train, self._dtype), on_device(dataset.val, self._dtype)
        self._program = tf.function(self._epoch, jit_compile=config.training.jit, autograph=False)
        self._evaluation = Evaluation(formulation, config.training.jit)
        start = time.perf_counter()
        self.run_steps(epoch=0, first=0, stop=0)
        self._evaluation(self._val)
        self.compile_seconds = time.perf_counter() - start

    def start_over(self, config: Config) -> None:
        """Begin another configuration's training from its initial weights, in the program that is already compiled.

        Raises:
            ValueError: it differs in more than what is live.
        """
        if compiled_for(config) != self._compiled_for:
            raise ValueError("another program would have to be compiled for this configuration")
        self.begin(config)
        self._formulation.set_live(config.model, vars(config.loss.weights))
        self._optimizer.set_live(config.optimizer)
        weights = initial_weights(config.model, config.seed)
        zeros = {name: np.zeros_like(value) for name, value in weights.items()}
        self.restore(State(weights, zeros, zeros, 0, (INITIAL_SCALE, 0)))

    def run_steps(self, epoch: int, first: int, stop: int) -> npt.NDArray[np.floating]:
        """See `Loop.run_steps`."""
        order = tf.constant(self.order(epoch))
        curves, reached, sound = self._program(*self._train, order, tf.constant(first), tf.constant(stop))
        self._sound = bool(sound)
        rows: npt.NDArray[np.floating] = curves.numpy()[first : int(reached)]
        return rows

    def evaluate(self, split: Split) -> dict[str, float]:
        """See `Loop.evaluate`."""
        return self._evaluation(self._val if split is self._dataset.val else on_device(split, self._dtype))

    def sound(self) -> bool:
        """See `Loop.sound`: the program says it with every call."""
        return self._sound

    def state(self) -> State:
        """See `Loop.state`. The arrays are tensors on the device: a variable's next value does not overwrite them."""
        names = list(self._formulation.variables)
        weights, *moments = (
            dict(zip(names, map(tf.identity, group), strict=True))
            for group in (self._variables, *self._optimizer.slots.values())
        )
        scale = self._loss_scale.state() if self._loss_scale else None
        slots = dict(zip(self._optimizer.slots, moments, strict=True))
        return State(weights, **slots, iterations=int(self._optimizer.iterations.numpy()), loss_scale=scale)

    def restore(self, state: State) -> None:
        """See `Loop.restore`."""
        self._sound = state.finite_weights
        self._formulation.set_weights(state.weights)
        for slot, variables in self._optimizer.slots.items():
            for name, variable in zip(self._formulation.variables, variables, strict=True):
                variable.assign(getattr(state, slot)[name])
        self._optimizer.iterations.assign(state.iterations)
        if self._loss_scale and state.loss_scale:
            self._loss_scale.restore(state.loss_scale)

    def _epoch(  # noqa: PLR0913, PLR0917 (the data, and which steps)
        self, features: Tensor, nodes: Tensor, edges: Tensor, order: Tensor, first: Tensor, stop: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The program: steps ``first`` to before ``stop``. A first call with ``stop`` = 0 compiles without training.

        Returns:
            curves (steps, 4 + layers), whose rows outside of the steps taken are 0; the step reached; whether all
            weights are finite.
        """
        data = Arrays(features, nodes, edges)
        full, rest = divmod(self._size, self._batch_size)
        curves = tf.zeros((self._steps, len(STEP_METRICS) + len(self._layers)), self._dtype)
        state = (first, curves, tf.constant(True))
        for size, limit in ((self._batch_size, full), (rest, self._steps)):
            if size == 0 or limit == 0:
                continue

            def body(step: Tensor, curves: Tensor, _: Tensor, size: int = size) -> tuple[Tensor, Tensor, Tensor]:
                batch = data.rows(tf.slice(order, [step * self._batch_size], [size]))
                row, finite = self._step(batch)
                return step + 1, tf.tensor_scatter_nd_update(curves, [[step]], [row]), finite

            def goes_on(step: Tensor, _: Tensor, finite: Tensor, limit: int = limit) -> Tensor:
                return (step < tf.minimum(stop, limit)) & (finite if self.stops else True)

            state = tf.while_loop(goes_on, body, state)
        sound = tf.reduce_all([tf.reduce_all(tf.math.is_finite(variable)) for variable in self._variables])
        return state[1], state[0], sound

    def _step(self, batch: Arrays) -> tuple[Tensor, Tensor]:
        """One optimizer step.

        Returns:
            The batch's STEP_METRICS and layers' gradient norms, (4 + layers,); and whether they are finite.
        """
        with tf.GradientTape() as tape:
            heads = self._formulation.heads(batch.features)
            losses = self._formulation.loss(batch.labels(heads), heads)
            objective = self._loss_scale.scale(losses["loss"]) if self._loss_scale else losses["loss"]
        gradients = tape.gradient(objective, self._variables)
        if self._loss_scale:
            gradients = self._loss_scale.unscale(gradients)
        squares = tf.stack([tf.reduce_sum(tf.square(gradient)) for gradient in gradients])
        layers = tf.reduce_sum(tf.reshape(squares, (-1, 2)), 1)  # kernel and bias
        norms = tf.sqrt(tf.concat([[tf.reduce_sum(layers)], layers], 0))
        applied = None
        if self._loss_scale:
            applied = tf.math.is_finite(norms[0])
            overflow = self._loss_scale.adjust(applied)
            norms = tf.where(overflow, tf.zeros_like(norms), norms)  # no update is made, and none is missing
        self._optimizer.apply(gradients, keep=applied)
        row = tf.concat([tf.stack([losses["loss"], losses["nodes"], losses["edges"]]), norms], 0)
        return row, tf.reduce_all(tf.math.is_finite(row))
