"""The step of ``loss=tf_native``, a `jointdec.training.step.Step` by TensorFlow's own arithmetic, with no Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from jointdec.config import Config
from jointdec.problems.molecules.native_optimizer import LossScale, NativeOptimizer
from jointdec.problems.molecules.tf_native import TfNative
from jointdec.training.step import Batch

Tensor = Any  # TensorFlow has no types


class NativeStep:
    """One optimizer step of the decoder.

    Args:
        formulation: forward pass and loss.
        config: optimizer and precision.
        prepare: what becomes of a batch first.
    """

    columns: tuple[str, ...] = ("loss", "nodes", "edges")

    def __init__(self, formulation: TfNative, config: Config, prepare: Callable[[Batch], Batch]) -> None:
        self._formulation, self._prepare = formulation, prepare
        self._variables = list(formulation.variables.values())
        self.optimizer = NativeOptimizer(formulation.variables, config.optimizer)
        self._loss_scale = LossScale() if config.training.precision == "float16" else None
        self.dtype = self._variables[0].dtype
        self.layers = tuple(dict.fromkeys(name.rpartition("/")[0] for name in formulation.variables))

    def trace(self, batch: Batch) -> Callable[[Batch, Tensor], tuple[Tensor, Tensor]]:
        """See `Step.trace`; there is nothing to know before."""
        return self._take

    def variables(self) -> Mapping[str, tf.Variable]:
        """See `Step.variables`."""
        scale = self._loss_scale.state if self._loss_scale else {}
        return {**self._formulation.variables, **scale, **self.optimizer.state}

    def lasting(self) -> Sequence[tf.Variable]:
        """See `Step.lasting`."""
        return [*self._variables, *self.optimizer.state.values()]

    def begin_epoch(self) -> None:
        """Nothing is summed up."""

    def scale(self) -> Tensor | None:
        """See `Step.scale`."""
        return self._loss_scale.value if self._loss_scale else None

    def _take(self, batch: Batch, norms: Tensor) -> tuple[Tensor, Tensor]:
        features, labels = self._prepare(batch)
        scale = tf.identity(self._loss_scale.value) if self._loss_scale else None
        with tf.GradientTape() as tape:
            losses = self._formulation.loss(labels, self._formulation.heads(features))
            objective = losses["loss"] if scale is None else losses["loss"] * scale
        gradients = tape.gradient(objective, self._variables)
        keep = None
        if self._loss_scale:
            gradients = [gradient / scale for gradient in gradients]
            keep = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
            self._loss_scale.adjust(keep)

        def taken() -> Tensor:
            squares = tf.stack([tf.reduce_sum(tf.square(gradient)) for gradient in gradients])
            layers = tf.reduce_sum(tf.reshape(squares, (-1, 2)), 1)  # kernel and bias
            found = tf.sqrt(tf.concat([[tf.reduce_sum(layers)], layers], 0))
            return found if keep is None else tf.where(keep, found, tf.zeros_like(found))

        found = tf.cond(norms, taken, lambda: tf.zeros(1 + len(self.layers), self.dtype))
        self.optimizer.apply(gradients, keep=keep)
        return tf.stack([losses[name] for name in self.columns]), found
