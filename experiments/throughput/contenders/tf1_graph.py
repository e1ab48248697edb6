"""The source's program: a TensorFlow 1 graph, a Session, and a feed_dict each step."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tensorflow as tf
from problem import Contender, Problem, Round

from jointdec.problems.molecules.architecture import GRAM_WIDTH, Dense, architecture
from jointdec.problems.molecules.sizes import EDGE_CLASSES, FEATURES, NODE_CLASSES, NODES

v1 = tf.compat.v1
Tensor = Any  # TensorFlow has no types


def tf1(problem: Problem) -> Contender:
    """Batches are cut from the arrays in Python, step by step, which is timed."""
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, (None, FEATURES))
        y_nodes = v1.placeholder(tf.float32, (None, NODES, NODE_CLASSES))
        y_edges = v1.placeholder(tf.float32, (None, NODES, NODES, EDGE_CLASSES))
        loss = _loss(problem, _heads(problem, x), y_nodes, y_edges)
        adam = problem.config.optimizer
        train = v1.train.AdamOptimizer(adam.learning_rate, epsilon=adam.epsilon).minimize(loss)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
    features, labels = problem.molecules.x, problem.one_hot()

    def epoch(number: int) -> Round:
        batches, losses = problem.batches(number), []
        start = time.perf_counter()
        for batch in batches:
            feed = {x: features[batch], y_nodes: labels["nodes"][batch], y_edges: labels["edges"][batch]}
            losses.append(session.run([train, loss], feed)[1])
        return Round(1000 * (time.perf_counter() - start) / problem.steps, float(np.mean(losses)))

    return epoch


def _heads(problem: Problem, x: Tensor) -> tuple[Tensor, Tensor]:
    weights, alpha = problem.weights, problem.config.model.alpha

    def dense(x: Tensor, layer: Dense) -> Tensor:
        kernel = v1.Variable(weights[f"{layer.name}/kernel"].astype(np.float32))
        bias = v1.Variable(weights[f"{layer.name}/bias"].astype(np.float32))
        return tf.nn.leaky_relu(tf.matmul(x, kernel) + bias, alpha)

    layers = architecture(problem.config.model)
    assert layers.mixing
    nodes = edges = x
    for layer in layers.nodes:
        nodes = dense(nodes, layer)
    for layer in layers.edges:
        edges = dense(edges, layer)
    edges = tf.transpose(tf.reshape(edges, (-1, NODES, EDGE_CLASSES, GRAM_WIDTH)), (0, 2, 1, 3))
    gram = tf.matmul(edges, edges, transpose_b=True)
    edges = dense(tf.reshape(gram, (-1, layers.mixing.inputs)), layers.mixing)
    edges = tf.transpose(tf.reshape(edges, (-1, EDGE_CLASSES, NODES, NODES)), (0, 2, 3, 1))
    return tf.reshape(nodes, (-1, NODES, NODE_CLASSES)), edges


def _loss(problem: Problem, heads: tuple[Tensor, Tensor], y_nodes: Tensor, y_edges: Tensor) -> Tensor:
    nodes = tf.nn.softmax_cross_entropy_with_logits(labels=y_nodes, logits=heads[0])
    edges = tf.nn.softmax_cross_entropy_with_logits(labels=y_edges, logits=heads[1])
    edges = tf.linalg.band_part(edges, 0, -1) - tf.linalg.band_part(edges, 0, 0)
    weights = problem.config.loss.weights
    return weights["nodes"] * tf.reduce_mean(nodes) + weights["edges"] * tf.reduce_mean(edges)
