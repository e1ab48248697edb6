"""What every formulation must hold to, against the decoder's float64 truth."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from jointdec.objective.formulation import CHUNK, make_formulation

FORMULATIONS = ["joint", "split", "zero_plus_total", "tf_native"]
FLOAT64 = "training.precision=float64"


@pytest.fixture
def labels(molecules):
    """Nodes, edges of 6 molecules, as class indices."""
    return molecules.train.y["nodes"][:6], molecules.train.y["edges"][:6]


@pytest.fixture
def features(molecules):
    return molecules.train.x[:6].astype(np.float64)


def one_hot(nodes, edges, dtype="float64"):
    return {"nodes": tf.one_hot(nodes, 5, dtype=dtype), "edges": tf.one_hot(edges, 4, dtype=dtype)}


def loss_and_gradients(formulation, features, labels):
    with tf.GradientTape() as tape:
        losses = formulation.loss(labels, formulation.heads(features))
    variables = {name: v.value if hasattr(v, "path") else v for name, v in formulation.variables.items()}
    return losses, tape.gradient(losses["loss"], variables)


@pytest.mark.parametrize("loss", FORMULATIONS)
@pytest.mark.parametrize("model", ["two_tower", "scat", "shared_trunk"])
@pytest.mark.parametrize("weights", [(1.0, 2.0), (0.3, 1.7), (0.0, 1.0)])
def test_losses_and_gradients_are_those_of_a_backward_pass_written_out(  # noqa: PLR0917 (fixtures and parameters)
    make_config, random_weights, decoder_truth, features, labels, loss, model, weights
):
    heads = [f"loss.weights.nodes={weights[0]}", f"loss.weights.edges={weights[1]}"]
    config = make_config(f"loss={loss}", f"model={model}", "model.tower=[32,16]", FLOAT64, *heads)
    formulation = make_formulation(config)
    start = random_weights(formulation)
    formulation.set_weights(start)
    losses, gradients = loss_and_gradients(formulation, features, one_hot(*labels))

    truth = decoder_truth(config.model, start, features, *labels)
    expected = truth.losses()
    expected["loss"] = weights[0] * expected["nodes"] + weights[1] * expected["edges"]
    for name, value in expected.items():
        assert float(losses[name]) == pytest.approx(value, rel=1e-13)
    for name, gradient in truth.backward(*weights).items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(gradients[name], gradient, rtol=0, atol=1e-12 * scale, err_msg=name)


@pytest.mark.parametrize("loss", FORMULATIONS)
def test_a_program_that_is_compiled_takes_live_alpha_and_weights_without_another_trace(
    make_config, decoder_truth, features, labels, loss
):
    config = make_config(f"loss={loss}", "model.tower=[8]", FLOAT64)
    formulation = make_formulation(config)
    start = formulation.get_weights()

    @tf.function(jit_compile=True)
    def program(features, nodes, edges):
        return loss_and_gradients(formulation, features, one_hot(nodes, edges))

    traces = set()
    for alpha, nodes, edges in ((0.2, 1.0, 2.0), (0.05, 3.0, 0.5), (0.9, 0.0, 1.0)):
        model = replace(config.model, alpha=alpha)
        weights = replace(config.loss, weights={"nodes": nodes, "edges": edges})
        formulation.set_live(replace(config, model=model, loss=weights))
        losses, gradients = program(features, *labels)
        truth = decoder_truth(model, start, features, *labels)
        means = truth.losses()
        assert float(losses["loss"]) == pytest.approx(nodes * means["nodes"] + edges * means["edges"], rel=1e-13)
        for name, gradient in truth.backward(nodes, edges).items():
            scale = np.abs(gradient).max()
            np.testing.assert_allclose(gradients[name], gradient, rtol=0, atol=1e-12 * scale, err_msg=name)
        traces.add(program.experimental_get_tracing_count())
    assert len(traces) == 1


@pytest.mark.parametrize("loss", FORMULATIONS)
def test_the_two_towers_share_nothing_and_a_trunk_serves_both_heads(make_config, features, labels, loss):
    for model, of_nodes in (("two_tower", {"nodes"}), ("shared_trunk", {"nodes", "trunk"})):
        formulation = make_formulation(
            make_config(f"loss={loss}", f"model={model}", "model.tower=[8]", FLOAT64, "loss.weights.edges=0")
        )
        _, gradients = loss_and_gradients(formulation, features, one_hot(*labels))
        touched = {name.split("_")[0] for name, g in gradients.items() if np.any(g)}
        assert touched == of_nodes


@pytest.mark.parametrize("loss", FORMULATIONS)
def test_a_nan_above_the_diagonal_makes_the_total_nan(make_config, labels, loss):
    formulation = make_formulation(make_config(f"loss={loss}", "model.tower=[8]", FLOAT64))
    for (i, j), reaches in {(2, 5): True, (5, 2): False}.items():
        edges = np.zeros((6, 9, 9, 4))
        edges[3, i, j, 0] = np.nan
        heads = {"nodes": tf.zeros((6, 9, 5), tf.float64), "edges": tf.constant(edges)}
        assert np.isnan(formulation.loss(one_hot(*labels), heads)["loss"]) == reaches


@pytest.mark.parametrize("loss", FORMULATIONS)
def test_logits_of_many_molecules_are_those_of_each_alone(make_config, random_weights, loss):
    formulation = make_formulation(make_config(f"loss={loss}", "model.tower=[8]", FLOAT64))
    formulation.set_weights(random_weights(formulation))
    features = np.random.default_rng(0).normal(size=(2 * CHUNK + 1, 135))
    logits = formulation.logits(features)
    assert logits["nodes_logits"].shape == (2 * CHUNK + 1, 9, 5)
    assert logits["edges_logits"].shape == (2 * CHUNK + 1, 9, 9, 4)
    for row in (0, CHUNK - 1, CHUNK, 2 * CHUNK):
        alone = formulation.logits(features[row : row + 1])
        for name, values in alone.items():
            np.testing.assert_allclose(logits[name][row], values[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", FORMULATIONS)
def test_weights_that_were_got_can_be_set_again_and_a_missing_one_is_an_error(make_config, random_weights, loss):
    formulation = make_formulation(make_config(f"loss={loss}", "model.tower=[8]"))
    kept = formulation.get_weights()
    formulation.set_weights(random_weights(formulation))
    assert any((value != kept[name]).any() for name, value in formulation.get_weights().items())
    formulation.set_weights(kept)
    for name, value in formulation.get_weights().items():
        np.testing.assert_array_equal(value, kept[name])
    del kept["edges_2/bias"]
    with pytest.raises(KeyError, match="edges_2/bias"):
        formulation.set_weights(kept)


def test_one_loss_over_both_heads_may_be_a_function_that_is_no_sum(make_config, features, labels):
    """Why ``joint`` exists: its place takes any function of both heads, and the training differentiates that."""
    formulation = make_formulation(make_config("loss=joint", "model.tower=[8]", FLOAT64))
    separate = formulation.loss(one_hot(*labels), formulation.heads(features))
    formulation.model.compute_loss = lambda y, y_pred, sample_weight: (
        tf.reduce_max(y_pred["nodes"]) * tf.reduce_max(y_pred["edges"])
    )
    losses, gradients = loss_and_gradients(formulation, features, one_hot(*labels))
    heads = formulation.heads(features)
    assert float(losses["loss"]) == pytest.approx(float(np.max(heads["nodes"]) * np.max(heads["edges"])))
    assert float(losses["nodes"]) == float(separate["nodes"])
    assert all(np.any(gradients[f"{tower}_1/kernel"]) for tower in ("nodes", "edges"))


def test_loss_and_curves_are_the_mean_squared_errors_of_the_raw_outputs(make_config):
    config = make_config("loss=mse", "model.tower=[8]", "training.precision=float64", "loss.weights.nodes=3")
    formulation, rng = make_formulation(config), np.random.default_rng(0)
    shapes = {"nodes": (4, 9, 5), "edges": (4, 9, 9, 4)}
    heads, labels = ({head: rng.normal(size=shape) for head, shape in shapes.items()} for _ in range(2))
    squares = {head: float(((heads[head] - labels[head]) ** 2).mean()) for head in shapes}
    tensors = [{head: tf.constant(array) for head, array in arrays.items()} for arrays in (labels, heads)]
    losses = {name: float(value) for name, value in formulation.loss(*tensors).items()}
    assert losses == pytest.approx({**squares, "loss": 3 * squares["nodes"] + 2 * squares["edges"]}, rel=1e-12)
