"""Shared fixtures: a configuration from overrides, molecules to train on, and the decoder's float64 truth in numpy."""

import functools
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before anything imports TensorFlow

import hypothesis
import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from jointdec.config import conf_folder, parse
from jointdec.dataset import Dataset
from jointdec.problems.molecules.dataset import molecules_split

hypothesis.settings.register_profile("jointdec", deadline=None)  # a first example may load TensorFlow
hypothesis.settings.load_profile("jointdec")


@pytest.fixture(autouse=True)
def _keras_in_float32():
    """A training in float64 leaves Keras in it, as a process of its own would keep it; the next test starts anew."""
    yield
    if keras := sys.modules.get("keras"):
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")  # which Keras keeps apart, once a layer was made


@pytest.fixture(scope="session")
def make_config():
    """``make_config("loss=split", "model.tower=[8]")``: what the command line would have composed."""

    @functools.cache
    def make(*overrides):
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            return parse(compose("config", overrides=list(overrides)))

    return make


@pytest.fixture(scope="session")
def configured():
    """``configured("problem=penguins", "loss=split")``: what the command line would have composed."""
    from jointdec.problems.compose import with_problem

    def configure(*typed):
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            return parse(compose("config", overrides=with_problem(typed)))

    return configure


@pytest.fixture(scope="session")
def molecules(make_config):
    """The 5,000 molecules that ship, encoded."""
    from jointdec.problems.molecules.load import load

    return load(make_config("data=molecules").data)


SMILES = ["C", "CC", "CCO", "C=O", "N#C", "c1ccccc1", "CN", "CF", "OCCO", "C1CC1", "CC(C)C", "C#CCN", "NC=O", "CCCCO"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder of a user with 14 molecules in molecules.smi, and no tracking store yet."""
    (tmp_path / "molecules.smi").write_text("\n".join(SMILES))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def make_dataset(molecules):
    """A data set of the first molecules of each split."""

    def rows(split, count):
        return molecules_split(split.x[:count], split.y["nodes"][:count], split.y["edges"][:count], split.names[:count])

    def make(train, val=20):
        return Dataset(rows(molecules.train, train), rows(molecules.val, val), rows(molecules.test, 5), "few", "few")

    return make


@pytest.fixture(scope="session")
def random_weights():
    """Weights of a formulation's shapes with biases that are not 0."""

    def draw(formulation, seed=0, scale=0.1):
        rng = np.random.default_rng(seed)
        return {name: scale * rng.normal(size=tuple(v.shape)) for name, v in formulation.variables.items()}

    return draw


@pytest.fixture(scope="session")
def decoder_truth():
    return DecoderTruth


class DecoderTruth:
    """The decoder of SCAT, its two losses and their gradients, each written out in float64 numpy.

    Args:
        model: the model's group of a configuration.
        weights: by canonical name; anything float64 can hold.
        features: (B, 135).
        nodes: (B, 9) class indices.
        edges: (B, 9, 9) class indices.
    """

    def __init__(self, model, weights, features, nodes=None, edges=None):
        self.alpha = model.alpha
        self.weights = {name: np.asarray(value, np.float64) for name, value in weights.items()}
        self.labels = None if nodes is None else {"nodes": np.eye(5)[nodes], "edges": np.eye(4)[edges]}
        self.gradients = {name: np.zeros_like(value) for name, value in self.weights.items()}
        size, depth = len(features), len(model.tower) + 1
        x, self._back_trunk = self._chain("trunk", len(model.trunk), np.asarray(features, np.float64))
        nodes, self._back_nodes = self._chain("nodes", depth, x)
        edges, self._back_edges = self._chain("edges", depth, x)
        self.x = edges.reshape(size, 9, 4, 15)
        gram = np.einsum("nicd,njcd->ncij", self.x, self.x)
        if model.mixing:
            flat, self._back_gram = self._dense("edges_mixing", gram.reshape(size, 324))
            gram = flat.reshape(size, 4, 9, 9)
        else:
            gram, self._back_gram = self._leaky_relu(gram)
        self.heads = {"nodes": nodes.reshape(size, 9, 5), "edges": gram.transpose(0, 2, 3, 1)}

    def losses(self):
        """Means of both heads' cross-entropies; the pairs' over all 81 entries."""
        above = np.triu(np.ones((9, 9)), k=1)
        entropy = {head: -(self.labels[head] * log_softmax(z)).sum(-1) for head, z in self.heads.items()}
        return {"nodes": entropy["nodes"].mean(), "edges": (entropy["edges"] * above).mean()}

    def backward(self, nodes, edges):
        """Gradients, by name, of ``nodes`` x the one mean + ``edges`` x the other."""
        size = len(self.x)
        wrong = {head: np.exp(log_softmax(z)) - self.labels[head] for head, z in self.heads.items()}
        above = np.triu(np.ones((9, 9)), k=1)[:, :, None]
        d_nodes = nodes * wrong["nodes"] / (9 * size)
        d_gram = (edges * wrong["edges"] * above / (81 * size)).transpose(0, 3, 1, 2)
        d_gram = self._back_gram(d_gram.reshape(size, -1) if "edges_mixing/bias" in self.weights else d_gram)
        d_gram = d_gram.reshape(size, 4, 9, 9)
        d_x = np.einsum("ncij,njcd->nicd", d_gram + d_gram.transpose(0, 1, 3, 2), self.x)
        self._back_trunk(
            self._back_nodes(d_nodes.reshape(size, 45)) + self._back_edges(d_x.reshape(size, 540)),
        )
        return self.gradients

    def _chain(self, prefix, depth, x):
        backs = []
        for number in range(1, depth + 1):
            x, back = self._dense(f"{prefix}_{number}", x)
            backs.append(back)

        def back_through(gradient):
            for back in reversed(backs):
                gradient = back(gradient)
            return gradient

        return x, back_through

    def _dense(self, name, x):
        kernel = self.weights[f"{name}/kernel"]
        y, back_relu = self._leaky_relu(x @ kernel + self.weights[f"{name}/bias"])

        def back(gradient):
            gradient = back_relu(gradient)
            self.gradients[f"{name}/kernel"] += x.T @ gradient
            self.gradients[f"{name}/bias"] += gradient.sum(0)
            return gradient @ kernel.T

        return y, back

    def _leaky_relu(self, z):
        slope = np.where(z > 0, 1, self.alpha)
        return slope * z, lambda gradient: slope * gradient


def log_softmax(z):
    """Over the last axis; z may be large."""
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))
