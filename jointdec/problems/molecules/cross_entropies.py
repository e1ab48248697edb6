"""The two cross-entropies, before any mean: Keras operations only, so every backend runs them.

With labels y, logits z and softmax p,  CE(y, z) = -sum_c y_c log p_c = sum_c y_c (logsumexp(z) - z_c).

On TensorFlow this is the fused kernel, whose gradient is p - y whatever the labels sum to; edges that don't count
are therefore masked in the CE and not in the labels.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any  # of whichever backend Keras runs on


def node_cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy of each atom.

    Args:
        labels: (B, 9, 5), a distribution over the last axis.
        logits: (B, 9, 5).

    Returns:
        (B, 9). The head's loss is its mean.
    """
    return ops.categorical_crossentropy(labels, logits, from_logits=True)


def edge_cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy of each pair above the diagonal; 0 on and below it.

    Args:
        labels: (B, 9, 9, 4), a distribution over the last axis.
        logits: (B, 9, 9, 4).

    Returns:
        (B, 9, 9). The head's loss is its mean over all 81 entries, zeros included, as in the source.
    """
    return ops.triu(ops.categorical_crossentropy(labels, logits, from_logits=True), k=1)
