"""The Keras and the plain TensorFlow network against the equations, and ``two_tower`` against the source's summary."""

from itertools import pairwise

import numpy as np
import pytest

from jointdec.objective.formulation import make_formulation
from jointdec.problems.molecules.decoder import stock_model

MODELS = ["two_tower", "scat", "shared_trunk"]
FORMULATIONS = ["joint", "split", "tf_native"]

# The rows of the source's model.summary(), in the order of the data's way, without its LeakyReLU and identity rows:
# output shape without the batch, number of parameters.
SUMMARY_NODES = [
    ((128,), 17_408),
    ((256,), 33_024),
    ((512,), 131_584),
    ((45,), 23_085),
    ((9, 5), 0),
]
SUMMARY_EDGES = [
    ((128,), 17_408),
    ((256,), 33_024),
    ((512,), 131_584),
    ((540,), 277_020),
    ((9, 4, 15), 0),
    ((4, 9, 9), 0),  # the Lambda with the Gram product
    ((324,), 0),
    ((324,), 105_300),
    ((4, 9, 9), 0),
    ((9, 9, 4), 0),
]
TRANSPOSED_IN_THE_LAMBDA = (4, 9, 15)  # a layer of its own in Keras 3


def layers_to(model, head):
    """The layers on the way from the features to a head; of the Gram product's two equal ways the first."""
    node, layers = model.output[head]._keras_history.operation._inbound_nodes[0], []
    while node.parent_nodes:
        layers.append(node.operation)
        node = node.parent_nodes[0]
    return layers[::-1]


def is_leaky_relu(layer):
    return type(layer).__name__ == "LiveLeakyReLU"


def size_of(layer):
    return layer.count_params() if hasattr(layer, "count_params") else 0


@pytest.fixture
def build(make_config, random_weights):
    """A formulation in float64 whose weights, biases included, are random and the same for all."""

    def make(*overrides):
        config = make_config("training.precision=float64", *overrides)
        formulation = make_formulation(config)
        weights = random_weights(formulation)
        formulation.set_weights(weights)
        return formulation, weights, config

    return make


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(1).normal(size=(7, 135))


@pytest.mark.parametrize("loss", FORMULATIONS)
def test_two_tower_has_the_769437_parameters_of_the_source(make_config, loss):
    assert make_formulation(make_config(f"loss={loss}")).count_parameters() == 769_437


def test_keras_itself_counts_769437_parameters_and_none_besides(make_config):
    model = make_formulation(make_config("loss=joint")).inner
    assert model.count_params() == 769_437
    assert model.non_trainable_weights == []


@pytest.mark.parametrize(("head", "summary"), [("nodes", SUMMARY_NODES), ("edges", SUMMARY_EDGES)])
def test_every_layer_of_two_tower_has_the_shape_and_size_in_the_sources_summary(make_config, head, summary):
    layers = layers_to(make_formulation(make_config("loss=joint")).inner, head)
    rows = [(layer.output.shape[1:], size_of(layer)) for layer in layers if not is_leaky_relu(layer)]
    assert [row for row in rows if row[0] != TRANSPOSED_IN_THE_LAMBDA] == summary


@pytest.mark.parametrize("model", MODELS)
def test_a_leaky_relu_of_the_configured_slope_follows_every_dense(make_config, model):
    keras_model = make_formulation(make_config(f"model={model}", "loss=joint")).inner
    for head in ("nodes", "edges"):
        layers = layers_to(keras_model, head)
        for layer, after in pairwise(layers):
            if type(layer).__name__ in ("Dense", "Matmul"):
                mixed_later = type(layer).__name__ == "Matmul" and model != "scat"
                assert is_leaky_relu(after) != mixed_later


@pytest.mark.parametrize("loss", FORMULATIONS)
@pytest.mark.parametrize("model", MODELS)
def test_every_network_equals_the_equations_in_float64(build, features, decoder_truth, model, loss):
    formulation, weights, config = build(f"model={model}", f"loss={loss}")
    truth = decoder_truth(config.model, weights, features).heads
    for head, logits in formulation.heads(features).items():
        assert logits.dtype == "float64"
        scale = np.abs(truth[head]).max()
        np.testing.assert_allclose(np.asarray(logits), truth[head], atol=1e-13 * scale)


@pytest.mark.parametrize("model", MODELS)
def test_keras_and_plain_tensorflow_give_equal_logits_for_equal_weights(build, features, model):
    keras_formulation, *_ = build(f"model={model}", "loss=joint")
    tf_native, *_ = build(f"model={model}", "loss=tf_native")
    ours, theirs = keras_formulation.logits(features), tf_native.logits(features)
    for name in ("nodes_logits", "edges_logits"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", FORMULATIONS)
@pytest.mark.parametrize("model", MODELS)
def test_with_alpha_0_no_logit_is_negative(build, features, model, loss):
    formulation, *_ = build(f"model={model}", f"loss={loss}", "model.alpha=0")
    for logits in formulation.logits(features).values():
        assert (logits >= 0).all()
        assert (logits > 0).any()


@pytest.mark.parametrize("loss", FORMULATIONS)
def test_the_bond_logits_of_scat_are_symmetric_and_nothing_mixes_them(build, features, loss):
    formulation, *_ = build("model=scat", f"loss={loss}")
    logits = formulation.logits(features)["edges_logits"]
    np.testing.assert_allclose(logits, logits.transpose(0, 2, 1, 3), rtol=1e-13, atol=1e-13)
    assert formulation.count_parameters() == 769_437 - 105_300
    assert not any(name.startswith("edges_mixing") for name in formulation.variables)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("loss", FORMULATIONS)
def test_half_precision_keeps_weights_and_logits_in_float32(make_config, features, loss, precision):
    formulation = make_formulation(make_config(f"loss={loss}", f"training.precision={precision}"))
    exact = make_formulation(make_config(f"loss={loss}")).logits(features.astype(np.float32))
    assert {variable.dtype for variable in formulation.get_weights().values()} == {np.dtype(np.float32)}
    rounding = 2.0**-8 if precision == "bfloat16" else 2.0**-11
    for name, logits in formulation.logits(features.astype(np.float32)).items():
        assert logits.dtype == np.float32
        error = np.abs(logits - exact[name]).max()
        # five layers of roundings that mostly cancel; 0 would mean that nothing ran in half precision
        assert 0 < error < 8 * rounding * np.abs(exact[name]).max()


def test_the_model_of_keras_own_layers_alone_gives_the_same_logits(make_config, features):
    config = make_config("loss=split", "model=scat", "model.alpha=0.3")
    formulation = make_formulation(config)
    stock = stock_model(config.model, "float32", formulation.get_weights())
    assert {type(layer).__module__.split(".")[0] for layer in stock.layers} == {"keras"}
    logits = formulation.logits(features.astype(np.float32))
    for head, values in stock(features.astype(np.float32)).items():
        np.testing.assert_array_equal(np.asarray(values), logits[f"{head}_logits"])
