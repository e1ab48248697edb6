"""Dynamic loss scaling: float16's gradients would underflow to 0, so the loss is multiplied before the backward pass.

Micikevicius et al. 2018, "Mixed Precision Training", section 3.2, with the constants of Keras's LossScaleOptimizer:
start at 2^15, double after 2000 steps with a finite gradient, halve (and skip the update) after one without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

INITIAL_SCALE = 2.0**15
GROWTH_STEPS = 2000


class LossScale:
    """The scale, as state of the program."""

    def __init__(self) -> None:
        self._scale = tf.Variable(INITIAL_SCALE)
        self._good_steps = tf.Variable(0)

    def scale(self, loss: Any) -> Any:  # noqa: ANN401 (TensorFlow has no types)
        """The loss to differentiate."""
        return loss * self._scale

    def unscale(self, gradients: Sequence[Any]) -> list[Any]:
        """The gradients of the unscaled loss."""
        return [gradient / self._scale for gradient in gradients]

    def adjust(self, finite: Any) -> Any:  # noqa: ANN401 (TensorFlow has no types)
        """Move the scale after a step whose gradients were all finite or not.

        Returns:
            Whether the step is lost to the scale alone: it is skipped, and a smaller scale will do.
        """
        overflow = tf.logical_and(tf.logical_not(finite), self._scale > 1)
        good = tf.where(finite, self._good_steps + 1, 0)
        grown = tf.where(good >= GROWTH_STEPS, self._scale * 2, self._scale)
        self._scale.assign(tf.where(finite, grown, tf.maximum(self._scale / 2, 1)))
        self._good_steps.assign(tf.where(good >= GROWTH_STEPS, 0, good))
        return overflow

    def state(self) -> tuple[float, int]:
        """The scale, and the good steps since it last changed."""
        return float(self._scale.numpy()), int(self._good_steps.numpy())

    def restore(self, state: tuple[float, int]) -> None:
        """Go back to what `state` returned."""
        self._scale.assign(state[0])
        self._good_steps.assign(state[1])
