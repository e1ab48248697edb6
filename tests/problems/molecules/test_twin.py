"""The traced step against the formulations' own losses and gradients, and against the loop's own update."""

import numpy as np
import pytest
import tensorflow as tf

from jointdec.divergence.step_again import batch_of_step
from jointdec.objective.formulation import make_formulation
from jointdec.problems.molecules.dataset import dense_labels
from jointdec.problems.molecules.twin import first_bad, trace_step
from jointdec.problems.molecules.twin_state import decoder_state
from jointdec.training import make_training

TINY = ["model.tower=[8]", "training.batch_size=10", "training.precision=float64", "training.jit=false"]
MODELS = ["shared_trunk", "scat"]
LOSSES = ["joint", "split", "tf_native", "zero_plus_total", "mse", "answer", "split_indexed"]


@pytest.fixture
def trained(make_config, make_dataset):
    """A loop after three steps, and the trace of the fourth."""

    def make(*overrides, jit=False):
        config, dataset = make_config(*TINY, *overrides), make_dataset(60)
        formulation = make_formulation(config)
        loop = make_training(config, formulation, dataset)
        loop.run_steps(0, 0, 3, 1)
        batch = dataset.train.rows(batch_of_step(config, dataset, 3))
        trace = {entry.name: entry for entry in trace_step(config, loop.state(), batch, jit)}
        return loop, formulation, batch, trace

    return make


@pytest.mark.parametrize("model", ["two_tower", *(pytest.param(m, marks=pytest.mark.slow) for m in MODELS)])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_and_gradients_are_those_of_the_formulation(trained, loss, model):
    _, formulation, batch, trace = trained(f"loss={loss}", f"model={model}")
    labels = {head: tf.constant(array, tf.float64) for head, array in dense_labels(batch).items()}
    with tf.GradientTape() as tape:
        losses = formulation.loss(labels, formulation.heads(tf.constant(batch.x, tf.float64)))
    variables = {name: v.value if hasattr(v, "path") else v for name, v in formulation.variables.items()}
    gradients = tape.gradient(losses["loss"], variables)
    np.testing.assert_allclose(trace["loss"].value, losses["loss"], rtol=1e-12)
    if loss != "split_indexed":  # its curves are of all molecules, its loss of two
        for head in ("nodes", "edges"):
            np.testing.assert_allclose(trace[f"{head}_loss"].value, losses[head], rtol=1e-12)
    for name, gradient in gradients.items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(trace[f"gradient/{name}"].value, gradient, rtol=0, atol=1e-12 * scale, err_msg=name)


@pytest.mark.parametrize("loss", ["split", "tf_native"])
def test_moments_and_new_weights_are_those_of_the_loop_s_step(trained, loss):
    loop, _, _, trace = trained(f"loss={loss}")
    norms = loop.run_steps(0, 3, 4, 1).norms[0]
    after = decoder_state(loop._config.model, loop.state())
    np.testing.assert_allclose(trace["grad_norm"].value, norms[0], rtol=1e-12)
    for name in after.weights:
        for entry, group in (("new_first", "first"), ("new_second", "second"), ("new", "weights")):
            np.testing.assert_allclose(
                trace[f"{entry}/{name}"].value, getattr(after, group)[name], rtol=1e-9, atol=1e-15
            )


def test_the_tensors_come_in_the_order_of_execution(trained):
    *_, trace = trained("loss=split")
    order = list(trace)
    chain = [
        *("features", "nodes_1/kernel", "nodes_1", "nodes_1_leaky_relu", "nodes_logits", "edges_gram", "edges_logits"),
        *("nodes_cross_entropy", "nodes_loss", "edges_loss", "loss", "gradient/edges_logits", "gradient/edges_gram"),
        *("gradient/edges_1/kernel", "gradient/nodes_1/kernel", "grad_norm", "first/nodes_1/kernel"),
        *("second/nodes_1/kernel", "new_second/nodes_1/kernel", "update/nodes_1/kernel", "new/nodes_1/kernel"),
    ]
    assert [name for name in order if name in chain] == chain


@pytest.mark.slow
def test_a_step_compiled_with_xla_has_the_same_tensors(trained):
    *_, eager = trained("loss=answer")
    *_, compiled = trained("loss=answer", jit=True)
    assert list(eager) == list(compiled)
    for name, entry in eager.items():
        np.testing.assert_allclose(compiled[name].value, entry.value, rtol=1e-7, atol=1e-9, err_msg=name)


@pytest.mark.slow
def test_float16_is_traced_in_float16_with_the_scale_of_the_loss(make_config, make_dataset):
    config, dataset = make_config(*TINY[:2], "loss=tf_native", "training.precision=float16"), make_dataset(60)
    loop = make_training(config, make_formulation(config), dataset)
    batch = dataset.train.rows(batch_of_step(config, dataset, 0))
    trace = {entry.name: entry for entry in trace_step(config, loop.state(), batch)}
    assert trace["edges_gram"].value.dtype == np.float16
    assert trace["scaled_loss"].value == pytest.approx(2**15 * trace["loss"].value)
    steps = loop.run_steps(0, 0, 1, 1)
    row = [steps.rows[0, 0], steps.norms[0, 0]]
    np.testing.assert_allclose([trace["loss"].value, trace["grad_norm"].value], row, rtol=2e-3)


def test_the_first_bad_tensor_is_the_first_in_that_order(trained):
    *_, trace = trained("loss=split")
    entries = list(trace.values())
    assert first_bad(entries) is None
    bad = [entry._replace(value=entry.value * np.nan) if i in (7, 9) else entry for i, entry in enumerate(entries)]
    assert first_bad(bad).name == entries[7].name
