"""Losses and reconstruction shares of a whole split in one compiled program.

The shares are those of `jointdec.problems.molecules.reconstruction`, against which this module is tested.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from jointdec.dataset import EDGE_CLASSES, NODE_CLASSES, NODES, Split
from jointdec.objective.formulation import CHUNK, Formulation

Tensor = Any  # TensorFlow has no types
RANKS = {"nodes": 3, "edges": 4}  # of labels as distributions
CLASSES = {"nodes": NODE_CLASSES, "edges": EDGE_CLASSES}


class Arrays(NamedTuple):
    """A split on the device: features (n, 135), labels as class indices or dense, as in `Split`."""

    features: Tensor
    nodes: Tensor
    edges: Tensor

    def rows(self, indices: Tensor) -> Arrays:
        """These rows alone."""
        return Arrays(*(tf.gather(array, indices) for array in self))

    def labels(self, heads: dict[str, Tensor]) -> dict[str, Tensor]:
        """Labels as distributions over the classes, of the logits' shapes and dtypes."""
        return {
            "nodes": dense(self.nodes, "nodes", heads["nodes"].dtype),
            "edges": dense(self.edges, "edges", heads["edges"].dtype),
        }


def on_device(split: Split, dtype: tf.DType) -> Arrays:
    """Copy a split to the device; features become ``dtype``."""
    return Arrays(tf.constant(split.features, dtype), tf.constant(split.nodes), tf.constant(split.edges))


class Evaluation:
    """Evaluates a formulation; splits of equal size share one compilation."""

    def __init__(self, formulation: Formulation, jit: bool) -> None:
        self._formulation = formulation
        self._program = tf.function(self._sums, jit_compile=jit, autograph=False)

    def __call__(self, data: Arrays) -> dict[str, float]:
        """Means over the split: loss, nodes, edges, node_accuracy, edge_accuracy, exact."""
        size = len(data.features)
        sums = {name: value.numpy() for name, value in self._program(*data).items()}
        return {name: float(value) / size for name, value in sums.items()}

    def _sums(self, *arrays: Tensor) -> dict[str, Tensor]:
        data = Arrays(*arrays)
        size = data.features.shape[0]
        chunk = min(size, CHUNK)
        names = ("loss", "nodes", "edges", "node_accuracy", "edge_accuracy", "exact")

        def add(first: Tensor, count: int, sums: Tensor) -> Tensor:
            rows = self._means(data.rows(first + tf.range(count)))
            return sums + count * tf.stack([tf.cast(rows[name], tf.float64) for name in names])

        _, sums = tf.while_loop(
            lambda i, _: i < size // chunk,
            lambda i, sums: (i + 1, add(i * chunk, chunk, sums)),
            (tf.constant(0), tf.zeros(len(names), tf.float64)),
        )
        if size % chunk:
            sums = add(tf.constant(size - size % chunk), size % chunk, sums)
        return dict(zip(names, tf.unstack(sums), strict=True))

    def _means(self, data: Arrays) -> dict[str, Tensor]:
        heads = self._formulation.heads(data.features)
        above = tf.constant([[j > i for j in range(NODES)] for i in range(NODES)])
        nodes_right = _right(data.nodes, heads["nodes"])
        edges_right = _right(data.edges, heads["edges"])
        exact = tf.reduce_all(nodes_right, 1) & tf.reduce_all(edges_right | ~above, (1, 2))
        return self._formulation.loss(data.labels(heads), heads) | {
            "node_accuracy": _share(nodes_right),
            "edge_accuracy": _share(tf.boolean_mask(edges_right, above, axis=1)),
            "exact": _share(exact),
        }


def _right(true: Tensor, logits: Tensor) -> Tensor:
    """Where the largest logit is the label's class; never where a logit is NaN."""
    classes = tf.argmax(true, -1) if true.shape.rank == logits.shape.rank else tf.cast(true, tf.int64)
    return (tf.argmax(logits, -1) == classes) & ~tf.reduce_any(tf.math.is_nan(logits), -1)


def _share(right: Tensor) -> Tensor:
    return tf.reduce_mean(tf.cast(right, tf.float64))


def dense(labels: Tensor, head: str, dtype: tf.DType) -> Tensor:
    """A head's labels, class indices or distributions, as distributions over the classes."""
    if labels.shape.rank == RANKS[head]:
        return tf.cast(labels, dtype)
    return tf.one_hot(tf.cast(labels, tf.int32), CLASSES[head], dtype=dtype)
