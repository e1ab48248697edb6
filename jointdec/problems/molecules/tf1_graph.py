"""``tf1_graph``: the source's program as it was written for TensorFlow 1, on ``tf.compat.v1``.

    X, Y_1, Y_2 = tf.placeholder(...)
    loss = tf.reduce_mean(loss_1) + 2 * tf.reduce_mean(loss_2)
    train = AdamOptimizer(1e-3).minimize(loss);   session.run(train, feed_dict={...})

The initial weights are copied in. Alpha and the loss weights are variables of the graph, so that they stay live.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from jointdec.config import BETA_1, BETA_2, AdamConfig, Config, OptimizerConfig
from jointdec.objective.formulation import Formulation, Labels, Tensor
from jointdec.problem import Problem
from jointdec.problems.molecules.architecture import GRAM_WIDTH, Dense, Weights, architecture, initial_weights
from jointdec.problems.molecules.sizes import CLASSES, EDGE_CLASSES, FEATURES, NODE_CLASSES, NODES, RANKS
from jointdec.training.state import moment_path

v1 = tf.compat.v1
SLOTS = {"momentum": "m", "velocity": "v"}  # TensorFlow 1's names of Adam's moments
Arrays = dict[str, npt.NDArray[np.floating]]


class Tf1Graph(Formulation):
    """A graph and its Session; what `Formulation` calls tensors are arrays here.

    Attributes:
        iterations: updates taken.
    """

    summary = "the program of TensorFlow 1: placeholders, a graph, `Session.run` every step"

    def __init__(self, problem: Problem, config: Config, x: object = None) -> None:
        self.problem = problem
        self.iterations = 0
        self._optimizer_name = config.optimizer.name
        self._dtype = tf.float64 if config.training.precision == "float64" else tf.float32
        self._architecture = architecture(config.model)
        weights = config.loss.weights
        settings = {"alpha": config.model.alpha, **{f"weight/{head}": weight for head, weight in weights.items()}}
        with tf.Graph().as_default():
            self.variables = {
                name: v1.Variable(value, dtype=self._dtype, name=name)
                for name, value in initial_weights(config.model, config.seed).items()
            }
            self._settings = {
                name: v1.Variable(value, dtype=self._dtype, name=name, trainable=False)
                for name, value in settings.items()
            }
            self._build(config.optimizer)
            self._session = v1.Session()
            self._session.run(v1.global_variables_initializer())

    def heads(self, features: Tensor) -> dict[str, Tensor]:
        """See `Formulation.heads`."""
        heads: dict[str, Tensor] = self._session.run(self._heads, {self._features: features})
        return heads

    def labels(self, labels: Labels, dtype: str) -> dict[str, Tensor]:
        """See `Formulation.labels`: distributions over the classes."""
        return {
            head: (array if array.ndim == RANKS[head] else np.eye(CLASSES[head])[array]).astype(dtype)
            for head, array in labels.items()
        }

    def loss(self, labels: Labels, heads: Labels, weights: Labels | None = None) -> dict[str, Tensor]:
        """See `Formulation.loss`. A graph can be fed at any of its tensors, so also at the logits."""
        feed = {self._labels[head]: labels[head] for head in labels} | {
            self._heads[head]: heads[head] for head in heads
        }
        losses: dict[str, Tensor] = self._session.run(self._losses, feed)
        return losses

    def step(self, features: npt.NDArray[np.floating], labels: Arrays) -> npt.NDArray[np.floating]:
        """One step of Adam on a batch; (4 + layers,) loss, nodes, edges, gradient norm and layers' norms before it."""
        feed = {self._features: features} | {self._labels[head]: array for head, array in labels.items()}
        row: npt.NDArray[np.floating]
        row, _ = self._session.run([self._row, self._train], feed)
        self.iterations += 1
        return row

    def set_live(self, config: Config) -> None:
        """See `Formulation.set_live`."""
        values = {"alpha": config.model.alpha}
        values |= {f"weight/{head}": weight for head, weight in config.loss.weights.items()}
        self._assign({name: np.float64(value) for name, value in values.items()})

    def get_weights(self) -> Weights:
        """See `Formulation.get_weights`."""
        weights: Weights = self._session.run(self.variables)
        return weights

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """See `Formulation.set_weights`."""
        self._assign({name: weights[name] for name in self.variables})

    def get_state(self) -> dict[str, npt.NDArray[Any]]:
        """Copies of the variables, Adam's moments and the number of updates, by the paths of Keras."""
        moments: dict[str, Weights] = self._session.run(self._moments)
        state: dict[str, npt.NDArray[Any]] = dict(self.get_weights())
        for moment, values in moments.items():
            state |= {moment_path(name, moment): value for name, value in values.items()}
        return state | {f"{self._optimizer_name}/iteration": np.array(self.iterations)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set what `get_state` returns."""
        self.set_weights({name: np.asarray(state[name]) for name in self.variables})
        self.iterations = int(state[f"{self._optimizer_name}/iteration"])
        if not self._moments:
            return
        for moment in self._moments:
            paths = {name: moment_path(name, moment) for name in self.variables}
            self._assign({f"{moment}/{name}": np.asarray(state[path]) for name, path in paths.items()})
        # TensorFlow 1 keeps no number of updates, but the powers of the betas, multiplied step by step
        powers = np.cumprod(np.tile([[BETA_1], [BETA_2]], self.iterations + 1), axis=1)[:, -1]
        self._assign({"power/0": powers[0], "power/1": powers[1]})

    def _build(self, config: OptimizerConfig) -> None:
        self._features = v1.placeholder(self._dtype, (None, FEATURES))
        self._labels = {
            "nodes": v1.placeholder(self._dtype, (None, NODES, NODE_CLASSES)),
            "edges": v1.placeholder(self._dtype, (None, NODES, NODES, EDGE_CLASSES)),
        }
        self._heads = self._decoder(self._features)
        nodes = v1.nn.softmax_cross_entropy_with_logits_v2(labels=self._labels["nodes"], logits=self._heads["nodes"])
        edges = v1.nn.softmax_cross_entropy_with_logits_v2(labels=self._labels["edges"], logits=self._heads["edges"])
        edges = v1.matrix_band_part(edges, 0, -1) - v1.matrix_band_part(edges, 0, 0)
        means = {"nodes": v1.reduce_mean(nodes), "edges": v1.reduce_mean(edges)}
        total = sum(self._settings[f"weight/{head}"] * mean for head, mean in means.items())
        self._losses = {"loss": total, **means}

        optimizer = _optimizer(config)
        gradients = optimizer.compute_gradients(total, list(self.variables.values()))
        squares = v1.stack([v1.reduce_sum(v1.square(gradient)) for gradient, _ in gradients])
        layers = v1.reduce_sum(v1.reshape(squares, (-1, 2)), 1)  # kernel and bias
        norms = v1.sqrt(v1.concat([[v1.reduce_sum(layers)], layers], 0))
        self._row = v1.concat([v1.stack([total, means["nodes"], means["edges"]]), norms], 0)
        with v1.control_dependencies([self._row]):  # it is of the weights before the update
            self._train = optimizer.apply_gradients(gradients)

        self._moments = {
            group: {name: optimizer.get_slot(variable, slot) for name, variable in self.variables.items()}
            for group, slot in (SLOTS if isinstance(config, AdamConfig) else {}).items()
        }
        known = {**self.variables, **self._settings}
        known |= {f"{group}/{name}": slot for group, slots in self._moments.items() for name, slot in slots.items()}
        if self._moments:
            known |= {f"power/{number}": power for number, power in enumerate(optimizer._get_beta_accumulators())}
        self._values = {
            name: v1.placeholder(variable.dtype.base_dtype, variable.shape) for name, variable in known.items()
        }
        self._assignments = {name: v1.assign(variable, self._values[name]) for name, variable in known.items()}

    def _decoder(self, x: Tensor) -> dict[str, Tensor]:
        layers = self._architecture
        for layer in layers.trunk:
            x = self._dense(x, layer)
        nodes = edges = x
        for layer in layers.nodes:
            nodes = self._dense(nodes, layer)
        for layer in layers.edges:
            edges = self._dense(edges, layer)
        edges = v1.transpose(v1.reshape(edges, (-1, NODES, EDGE_CLASSES, GRAM_WIDTH)), (0, 2, 1, 3))
        gram = v1.matmul(edges, v1.transpose(edges, (0, 1, 3, 2)))
        if layers.mixing:
            flat = self._dense(v1.reshape(gram, (-1, layers.mixing.inputs)), layers.mixing)
            gram = v1.reshape(flat, (-1, EDGE_CLASSES, NODES, NODES))
        else:
            gram = self._leaky_relu(gram)
        return {
            "nodes": v1.reshape(nodes, (-1, NODES, NODE_CLASSES)),
            "edges": v1.transpose(gram, (0, 2, 3, 1)),
        }

    def _dense(self, x: Tensor, layer: Dense) -> Tensor:
        kernel, bias = self.variables[f"{layer.name}/kernel"], self.variables[f"{layer.name}/bias"]
        return self._leaky_relu(v1.matmul(x, kernel) + bias)

    def _leaky_relu(self, x: Tensor) -> Tensor:
        return v1.where(x > 0, x, self._settings["alpha"] * x)

    def _assign(self, values: Mapping[str, Any]) -> None:
        self._session.run(
            [self._assignments[name] for name in values], {self._values[name]: value for name, value in values.items()}
        )


def _optimizer(config: OptimizerConfig) -> Any:  # noqa: ANN401 (TensorFlow has no types)
    # a Python float would become a float32 tensor first, and decay with 0.99900001 in float64
    if isinstance(config, AdamConfig):
        return v1.train.AdamOptimizer(*np.array([config.learning_rate, BETA_1, BETA_2, config.epsilon]))
    return v1.train.GradientDescentOptimizer(np.float64(config.learning_rate))
