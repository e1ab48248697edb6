"""Every loss written out operation by operation, so that the one that leaves the finite numbers can be named.

With labels y, logits z, and means over the batch and all places of a head:

    cross-entropy      sum_c y_c (max z + log sum_c exp(z_c - max z) - z_c); the fused kernel that training uses
    the answer         p = z / sum(z), clipped to [1e-7, 1 - 1e-7]; -sum_c y_c log p_c
    mean squared error (y - z)^2
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from jointdec.config import LossConfig

Tensor = Any  # TensorFlow has no types
CLIP = 1e-7  # keras.config.epsilon()


class Operation(NamedTuple):
    """A tensor: its name, the operation that gives it, in words, and its value."""

    name: str
    operation: str
    value: Tensor


def loss_operations(config: LossConfig, labels: dict[str, Tensor], heads: dict[str, Tensor]) -> Iterator[Operation]:
    """The loss from the logits to the total, which comes last; nodes_loss and edges_loss are the heads' means.

    Args:
        config: the loss's group of the configuration.
        labels: nodes (B, 9, 5) and edges (B, 9, 9, 4).
        heads: logits of the same shapes.
    """
    total = 0.0
    for head, weight in config.weights.items():
        terms = None
        for operation in _head_operations(config.name, head, labels[head], heads[head]):
            yield operation
            terms = operation.value
        mean = tf.reduce_mean(terms)
        yield Operation(f"{head}_loss", "mean over the batch", mean)
        weighted = tf.cast(weight, mean.dtype) * mean
        yield Operation(f"{head}_weighted", f"loss.weights.{head} times the mean", weighted)
        total += weighted
    yield Operation("loss", "sum of the heads' weighted losses", total)


def _head_operations(loss: str, head: str, y: Tensor, z: Tensor) -> Iterator[Operation]:
    """Up to a value for each place, (B, 9) or (B, 9, 9)."""
    if loss == "split_indexed":  # it reads one molecule of the batch
        place = 0 if head == "nodes" else 1
        y, z = y[place], z[place]
    if loss == "mse":
        yield Operation(f"{head}_squares", "square of labels - outputs", tf.square(y - z))
    elif loss == "answer" and head == "nodes":
        yield from _normalised(head, y, z)
    else:
        yield from _cross_entropy(head, y, z)


def _normalised(head: str, y: Tensor, z: Tensor) -> Iterator[Operation]:
    total = tf.reduce_sum(z, -1, keepdims=True)
    yield Operation(f"{head}_sum", "sum of an atom's raw outputs", total)
    p = z / total
    yield Operation(f"{head}_probabilities", "raw outputs divided by their sum", p)
    clipped = tf.clip_by_value(p, CLIP, 1 - CLIP)
    yield Operation(f"{head}_clipped", f"clipped to [{CLIP:g}, 1 - {CLIP:g}]", clipped)
    logs = tf.math.log(clipped)
    yield Operation(f"{head}_log", "log of the clipped", logs)
    yield Operation(f"{head}_cross_entropy", "-labels times log, summed over the classes", -tf.reduce_sum(y * logs, -1))


def _cross_entropy(head: str, y: Tensor, z: Tensor) -> Iterator[Operation]:
    largest = tf.reduce_max(z, -1, keepdims=True)
    exp_sum = tf.reduce_sum(tf.exp(z - largest), -1)
    yield Operation(f"{head}_exp_sum", "sum of exp(logits - their largest)", exp_sum)
    yield Operation(f"{head}_log_sum_exp", "log of that sum, plus the largest", tf.math.log(exp_sum) + largest[..., 0])
    entropy = tf.nn.softmax_cross_entropy_with_logits(y, z)
    if head == "edges":
        entropy = tf.linalg.band_part(entropy, 0, -1) - tf.linalg.band_part(entropy, 0, 0)
    yield Operation(f"{head}_cross_entropy", "labels times (log sum exp - logits), summed over the classes", entropy)
