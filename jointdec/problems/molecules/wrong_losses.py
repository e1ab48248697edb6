"""The source's attempts that went wrong, written for today's Keras and kept as they are.

What is wrong with each stands in conf/loss/. Nothing here is to be copied; `split` and `joint` are.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops

from jointdec.objective.formulation import Tensor
from jointdec.objective.heads import HeadLoss
from jointdec.objective.keras_formulation import KerasFormulation
from jointdec.problems.molecules.cross_entropies import edge_cross_entropy


class JointIndexed(KerasFormulation):
    """One callable for both heads. Its curves ``nodes`` and ``edges`` would be the right cross-entropies."""

    summary = "one callable in `compile(loss=…)` that indexes its arguments as if they were the heads"

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""

        def joint_loss(y: Tensor, pred: Tensor) -> Tensor:
            loss_1 = tf.nn.softmax_cross_entropy_with_logits(labels=y[0], logits=pred[0])
            loss_2 = tf.nn.softmax_cross_entropy_with_logits(labels=y[1], logits=pred[1])
            loss_2 = tf.linalg.band_part(loss_2, 0, -1) - tf.linalg.band_part(loss_2, 0, 0)
            return tf.reduce_mean(loss_1) + 2 * tf.reduce_mean(loss_2)

        self.model.compile(loss=joint_loss, **options)


class SplitIndexed(KerasFormulation):
    """A callable a head that indexes. Its curves ``nodes`` and ``edges`` are those of all molecules, not of one."""

    summary = "a callable a head that indexes its arguments as if they held both heads"

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""

        def loss_1(y: Tensor, pred: Tensor) -> Tensor:
            loss = tf.nn.softmax_cross_entropy_with_logits(labels=y[0], logits=pred[0])
            return tf.reduce_mean(loss)

        def loss_2(y: Tensor, pred: Tensor) -> Tensor:
            loss = tf.nn.softmax_cross_entropy_with_logits(labels=y[1], logits=pred[1])
            loss = tf.linalg.band_part(loss, 0, -1) - tf.linalg.band_part(loss, 0, 0)
            return tf.reduce_mean(loss)

        weights = {head: live.variable for head, live in self.loss_weights.items()}
        self.model.compile(loss={"nodes": loss_1, "edges": loss_2}, loss_weights=weights, **options)


class Answer(KerasFormulation):
    """Probabilities expected, raw outputs given. The curve ``nodes`` is this loss, not the cross-entropy of logits."""

    summary = "`categorical_crossentropy` on the atoms' raw outputs, the masked cross-entropy for bonds"

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""
        weights = {head: live.variable for head, live in self.loss_weights.items()}
        losses = {"nodes": "categorical_crossentropy", "edges": edge_cross_entropy}
        self.model.compile(loss=losses, loss_weights=weights, **options)

    def values(self, loss: HeadLoss, y: Tensor, y_pred: Tensor) -> Tensor:
        """See `KerasFormulation.values`."""
        if loss.name == "nodes":
            return ops.categorical_crossentropy(y, y_pred, from_logits=False)
        return super().values(loss, y, y_pred)
