"""``tf_native``: the source's TensorFlow program in today's TensorFlow, with no Keras anywhere.

loss_nodes = tf.nn.softmax_cross_entropy_with_logits(Y_nodes, Z_nodes)
loss_edges = tf.nn.softmax_cross_entropy_with_logits(Y_edges, Z_edges), strict upper triangle by band_part
loss = mean(loss_nodes) + 2 mean(loss_edges)
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import tensorflow as tf

from jointdec.config import Config
from jointdec.objective.formulation import Formulation, Labels, Tensor
from jointdec.problem import Problem
from jointdec.problems.molecules.architecture import GRAM_WIDTH, Dense, architecture, initial_weights
from jointdec.problems.molecules.sizes import CLASSES, EDGE_CLASSES, NODE_CLASSES, NODES, RANKS


class TfNative(Formulation):
    """The decoder and its loss in tf.Variable, tf.matmul and tf.nn."""

    summary = "plain TensorFlow without Keras (tf.Variable, tf.nn, GradientTape)"

    def __init__(self, problem: Problem, config: Config, x: object = None) -> None:
        self.problem = problem
        self._architecture = architecture(config.model)
        self._compute = tf.as_dtype(config.training.precision)
        self._dtype = tf.float64 if config.training.precision == "float64" else tf.float32
        initial = initial_weights(config.model, config.seed)
        self.variables = {name: tf.Variable(value, dtype=self._dtype, name=name) for name, value in initial.items()}
        self._alpha = tf.Variable(config.model.alpha, trainable=False, dtype=self._dtype)
        self._loss_weights = {
            head: tf.Variable(weight, trainable=False, dtype=self._dtype)
            for head, weight in config.loss.weights.items()
        }

    def heads(self, features: Tensor) -> dict[str, Tensor]:
        """See `Formulation.heads`."""
        tensors = dict(self.tensors(features))
        return {"nodes": tensors["nodes_logits"], "edges": tensors["edges_logits"]}

    def tensors(self, features: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The forward pass, tensor by tensor: name and value, in the order in which they are computed.

        After the Dense layer ``nodes_1`` comes ``nodes_1`` (x W + b), then ``nodes_1_leaky_relu``, and so on; the
        product X X^T is ``edges_gram``; the last of each head are ``nodes_logits`` and ``edges_logits``.
        """
        arch = self._architecture
        x = features
        for layer in arch.trunk:
            x = yield from self._dense(x, layer)
        nodes = edges = x
        for layer in arch.nodes[:-1]:
            nodes = yield from self._dense(nodes, layer)
        nodes = yield from self._dense(nodes, arch.nodes[-1], self._dtype)
        yield "nodes_logits", tf.reshape(nodes, (-1, NODES, NODE_CLASSES))
        for layer in arch.edges:
            edges = yield from self._dense(edges, layer)
        edges = tf.transpose(tf.reshape(edges, (-1, NODES, EDGE_CLASSES, GRAM_WIDTH)), (0, 2, 1, 3))
        # With transpose_b the gradient's two terms are summed in another order, and float32 paths part: see the tests.
        gram = tf.matmul(edges, tf.transpose(edges, (0, 1, 3, 2)))
        yield "edges_gram", gram
        if arch.mixing:
            mixed = yield from self._dense(tf.reshape(gram, (-1, arch.mixing.inputs)), arch.mixing, self._dtype)
            edges = tf.reshape(mixed, (-1, EDGE_CLASSES, NODES, NODES))
        else:
            edges = self._leaky_relu(tf.cast(gram, self._dtype))
        yield "edges_logits", tf.transpose(edges, (0, 2, 3, 1))

    def labels(self, labels: Labels, dtype: str) -> dict[str, Tensor]:
        """See `Formulation.labels`: distributions over the classes."""
        return {
            head: tf.cast(array, dtype)
            if len(array.shape) == RANKS[head]
            else tf.one_hot(tf.cast(array, tf.int32), CLASSES[head], dtype=dtype)
            for head, array in labels.items()
        }

    def loss(self, labels: Labels, heads: Labels, weights: Labels | None = None) -> dict[str, Tensor]:
        """See `Formulation.loss`."""
        nodes = tf.nn.softmax_cross_entropy_with_logits(labels["nodes"], heads["nodes"])
        edges = tf.nn.softmax_cross_entropy_with_logits(labels["edges"], heads["edges"])
        edges = tf.linalg.band_part(edges, 0, -1) - tf.linalg.band_part(edges, 0, 0)
        means = {"nodes": tf.reduce_mean(nodes), "edges": tf.reduce_mean(edges)}
        return {"loss": sum(self._loss_weights[head] * mean for head, mean in means.items()), **means}

    def set_live(self, config: Config) -> None:
        """See `Formulation.set_live`."""
        self._alpha.assign(config.model.alpha)
        for head, weight in config.loss.weights.items():
            self._loss_weights[head].assign(weight)

    def _dense(
        self, x: Tensor, layer: Dense, activation_dtype: tf.DType | None = None
    ) -> Generator[tuple[str, Tensor], None, Tensor]:
        kernel = tf.cast(self.variables[f"{layer.name}/kernel"], self._compute)
        bias = tf.cast(self.variables[f"{layer.name}/bias"], self._compute)
        x = tf.matmul(tf.cast(x, self._compute), kernel) + bias
        yield layer.name, x
        x = self._leaky_relu(tf.cast(x, activation_dtype or self._compute))
        yield f"{layer.name}_leaky_relu", x
        return x

    def _leaky_relu(self, x: Tensor) -> Tensor:
        return tf.where(x > 0, x, tf.cast(self._alpha, x.dtype) * x)
