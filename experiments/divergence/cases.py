"""The catalogue: ways to go NaN or Inf, each put there on purpose, so that step, tensor and cause are known before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.config import Config
from jointdec.dataset import Dataset
from jointdec.problems.molecules.dataset import dense_labels, molecules_split
from jointdec.training.order import batch_order
from jointdec.training.state import State, moment_path

STEP = 7  # of the first epoch, where a fault of the data or the state is put
ROW = 3  # of that step's batch


@dataclass(frozen=True)
class Case:
    """A way to diverge.

    Attributes:
        name: for the table.
        what: what is done, in words.
        step: the step that must be named; None where only training can tell.
        tensor: the tensor that must be named.
        cause: the cause that must be named.
        overrides: of the configuration.
        data: puts the fault into the data.
        state: puts the fault into the state before STEP.
        epochs: at most so many are trained.
    """

    name: str
    what: str
    step: int | None
    tensor: str
    cause: str
    overrides: tuple[str, ...] = ()
    data: Callable[[Config, Dataset], Dataset] | None = None
    state: Callable[[State], State] | None = None
    epochs: int = 1


def feature(value: float) -> Callable[[Config, Dataset], Dataset]:
    """One feature of one molecule of the step."""

    def put(config: Config, dataset: Dataset) -> Dataset:
        features = dataset.train.x.copy()
        features[_molecule(config, dataset), 42] = value
        return replace(dataset, train=replace(dataset.train, x=features))

    return put


def long_features(config: Config, dataset: Dataset) -> Dataset:
    """All features of one molecule of the step, 1e25 times as long."""
    features = dataset.train.x.copy()
    features[_molecule(config, dataset)] *= np.float32(1e25)
    return replace(dataset, train=replace(dataset.train, x=features))


def label(value: float) -> Callable[[Config, Dataset], Dataset]:
    """One number of one molecule's labels, which become distributions for it."""

    def put(config: Config, dataset: Dataset) -> Dataset:
        dense = dense_labels(dataset.train)
        dense["nodes"][_molecule(config, dataset), 2, 1] = value
        return replace(dataset, train=molecules_split(dataset.train.x, dense["nodes"], dense["edges"]))

    return put


def one_number(path: str, value: float) -> Callable[[State], State]:
    """One number of a weight or a moment."""

    def put(state: State) -> State:
        array = np.array(state[path])
        array[1, 2] = value
        return State({**state.values, path: array})

    return put


def one_of_moment(moment: str, name: str, value: float) -> Callable[[State], State]:
    """One number of Adam's first (``momentum``) or second (``velocity``) moment of a weight."""
    return one_number(moment_path(name, moment), value)


def whole_layer(name: str, change: Callable[[npt.NDArray[Any]], Any]) -> Callable[[State], State]:
    """A layer's kernel or bias."""

    def put(state: State) -> State:
        weights = np.array(state[name])
        return State({**state.values, name: np.asarray(change(weights), weights.dtype)})

    return put


def silent_atom(state: State) -> State:
    """The first atom's five outputs become exactly 0, as a LeakyReLU of slope 0 would make them."""
    kernel, bias = np.array(state["nodes_4/kernel"]), np.array(state["nodes_4/bias"])
    kernel[:, :5], bias[:5] = 0, 0
    return State({**state.values, "nodes_4/kernel": kernel, "nodes_4/bias": bias})


def _molecule(config: Config, dataset: Dataset) -> int:
    return int(batch_order(config.seed, 0, len(dataset.train))[STEP * config.training.batch_size + ROW])


CASES = (
    Case("NaN in a feature", "one number of one molecule", STEP, "features", "bad_input", data=feature(np.nan)),
    Case("Inf in a feature", "one number of one molecule", STEP, "features", "bad_input", data=feature(np.inf)),
    Case("NaN in a label", "one number of one molecule", STEP, "nodes_labels", "bad_input", data=label(np.nan)),
    Case("learning rate 1e6", "optimizer.learning_rate=1e6", 1, "edges_gram", "learning_rate",
         ("optimizer.learning_rate=1e6",)),
    Case("alpha 1e20", "model.alpha=1e20", 0, "nodes_2_leaky_relu", "activation_overflow", ("model.alpha=1e20",)),
    Case("features 1e25 times as long", "one molecule", STEP, "edges_gram", "activation_overflow", data=long_features),
    Case("weights of a layer at 1e30", "edges_2/kernel", STEP, "edges_gram", "weight_overflow",
         state=whole_layer("edges_2/kernel", lambda kernel: np.full_like(kernel, 1e30))),
    Case("an infinite weight", "one number of nodes_3/kernel", STEP, "nodes_3/kernel", "weight_overflow",
         state=one_number("nodes_3/kernel", np.inf)),
    Case("a NaN weight", "one number of nodes_3/kernel", STEP, "nodes_3/kernel", "corrupted_state",
         state=one_number("nodes_3/kernel", np.nan)),
    Case("float16 overflow in the Gram product", "edges_4/kernel 200 times as large", STEP, "edges_gram",
         "low_precision_overflow", ("training.precision=float16",),
         state=whole_layer("edges_4/kernel", lambda kernel: 200 * kernel)),
    Case("zero-sum outputs under the answer", "the first atom's outputs are 0", STEP, "nodes_probabilities",
         "unnormalised_probabilities", ("loss=answer",), state=silent_atom),
    Case("the answer with alpha 0", "model.alpha=0 loss=answer", 0, "nodes_probabilities",
         "unnormalised_probabilities", ("loss=answer", "model.alpha=0")),
    Case("loss weight 1e38", "loss.weights.edges=1e38", 0, "grad_norm", "loss_weight", ("loss.weights.edges=1e38",)),
    Case("gaussian labels, a long run", "data=gaussian", None, "grad_norm", "labels_not_a_distribution",
         ("data=gaussian",), epochs=12),
    Case("Adam's epsilon 0, gradients of 0", "optimizer.epsilon=0", 0, "update/edges_mixing/kernel", "epsilon",
         ("optimizer.epsilon=0",)),
    Case("NaN in Adam's second moment", "one number of edges_2/kernel's", STEP, "second/edges_2/kernel",
         "corrupted_state", state=one_of_moment("velocity", "edges_2/kernel", np.nan)),
    Case("Inf in Adam's first moment", "one number of nodes_2/kernel's", STEP, "first/nodes_2/kernel",
         "corrupted_state", state=one_of_moment("momentum", "nodes_2/kernel", np.inf)),
    Case("negative second moment", "one number of edges_1/kernel's is -1", STEP, "update/edges_1/kernel",
         "corrupted_state", state=one_of_moment("velocity", "edges_1/kernel", -1.0)),
    Case("squared error that overflows", "loss=mse, edges_mixing/bias 1e20", STEP, "edges_squares", "weight_overflow",
         ("loss=mse",), state=whole_layer("edges_mixing/bias", lambda bias: np.full_like(bias, 1e20))),
)  # fmt: skip
