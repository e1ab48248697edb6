"""Plain gradient descent in every loop: the loops against each other, and against the trace of a step."""

import numpy as np
import pytest

from jointdec.objective.formulation import make_formulation
from jointdec.problems.molecules.twin import trace_step
from jointdec.problems.molecules.twin_state import decoder_state
from jointdec.training import make_training
from jointdec.training.problem_loop import CompiledTraining

FLAGS = ["optimizer=sgd", "model.tower=[8]", "training.batch_size=10", "training.precision=float64"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "loop",
    [["loss=tf1_graph"], pytest.param(["loss=split", "training=fit"], marks=pytest.mark.slow)],
    ids=["tf1_graph", "fit"],
)
def test_all_loops_take_the_same_path(make_config, make_dataset, loop):
    weights, curves = [], []
    for flags in (["loss=tf_native"], loop):
        config = make_config(*FLAGS, *flags)
        formulation = make_formulation(config)
        training = make_training(config, formulation, make_dataset(23))
        results = [training.run_epoch(epoch) for epoch in (0, 1)]
        curves.append(np.concatenate([result.steps["loss"] for result in results]))
        weights.append(formulation.get_weights())
        before = training.state()
        known = decoder_state(config.model, before)
        assert (known.first, known.second, known.iterations) == ({}, {}, 6)
        training.run_steps(2, 0, 2, 1)
        training.restore(before)
        np.testing.assert_array_equal(formulation.get_weights()["nodes_1/kernel"], weights[-1]["nodes_1/kernel"])
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-7)  # Keras's rate is a float32 variable
    for name, value in weights[0].items():
        np.testing.assert_allclose(weights[1][name], value, rtol=0, atol=1e-8, err_msg=name)


def test_a_common_factor_of_the_loss_weights_is_a_factor_of_the_rate(make_config, make_dataset):
    """What plain gradient descent feels and Adam does not."""
    ends = []
    for flags in (
        ["loss.weights.nodes=3", "loss.weights.edges=6", "optimizer.learning_rate=0.01"],
        ["loss.weights.nodes=1", "loss.weights.edges=2", "optimizer.learning_rate=0.03"],
    ):
        config = make_config("loss=tf_native", "training.jit=false", *FLAGS, *flags)
        formulation = make_formulation(config)
        CompiledTraining(config, formulation, make_dataset(23)).run_epoch(0)
        ends.append(formulation.get_weights())
    for name, value in ends[0].items():
        np.testing.assert_allclose(ends[1][name], value, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.slow
def test_the_trace_of_a_step_ends_in_the_weights_that_the_loop_ends_in(make_config, make_dataset):
    config, dataset = make_config("loss=tf_native", *FLAGS), make_dataset(10)
    formulation = make_formulation(config)
    training = CompiledTraining(config, formulation, dataset)
    before = training.state()
    traced = {entry.name: entry.value for entry in trace_step(config, before, dataset.train)}
    training.run_epoch(0)
    for name, value in formulation.get_weights().items():
        np.testing.assert_allclose(traced[f"new/{name}"], value, rtol=0, atol=1e-12, err_msg=name)


def test_a_divergence_under_sgd_has_a_cause_and_can_be_gone_on_from(make_config, make_dataset):
    from jointdec.divergence.last_good import LastGood, go_on
    from jointdec.problems.molecules.forensics import batch_of_step, investigate

    flags = ["loss=tf_native", "optimizer=sgd", "model.tower=[8]", "training.batch_size=10", "training.jit=false"]
    config, dataset = make_config(*flags, "optimizer.learning_rate=1e4"), make_dataset(23)
    formulation = make_formulation(config)
    training = CompiledTraining(config, formulation, dataset)
    step = next(step for epoch in range(9) if (step := training.run_epoch(epoch).diverged_at) is not None)
    assert investigate(config, dataset, training.bad_state, step).cause == "learning_rate"
    last_good = LastGood(step, batch_of_step(config, dataset, step), training.bad_state)
    assert go_on(config, dataset, last_good, 0).bad == step


def test_an_update_that_overflows_by_itself_is_explained_without_moments(make_config, make_dataset):
    from jointdec.problems.molecules.forensics import investigate

    flags = ["loss=tf_native", "optimizer=sgd", "model.tower=[8]", "training.batch_size=10", "training.jit=false"]
    config = make_config(*flags, "optimizer.learning_rate=1e38", "loss.weights.nodes=1e9", "loss.weights.edges=1e9")
    dataset = make_dataset(10)
    training = CompiledTraining(config, make_formulation(config), dataset)
    training.run_epoch(0)
    found = investigate(config, dataset, training.bad_state, 0)
    assert found.tensor.startswith(("update/", "new/"))
