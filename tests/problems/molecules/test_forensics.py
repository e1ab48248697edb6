"""Faults whose step, tensor and cause are known because they were put there. The catalogue in experiments has more."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jointdec.divergence.catalogue import CAUSES
from jointdec.divergence.rules import RULES as GENERAL
from jointdec.divergence.runaway import Runaway
from jointdec.objective.formulation import make_formulation
from jointdec.problems.molecules.causes import RULES
from jointdec.problems.molecules.forensics import batch_of_step, investigate, investigate_runaway
from jointdec.training import make_training
from jointdec.training.state import State, moment_path

TINY = ["training.batch_size=10", "training.jit=false", "loss=tf_native"]


@pytest.fixture
def diverge(make_config, make_dataset):
    """Train until the step that diverges, and investigate it."""

    def run(*overrides, fault=None, corrupt=None, epochs=1):
        config, dataset = make_config(*TINY, *overrides), make_dataset(60)
        if fault:
            dataset = fault(dataset)
        loop = make_training(config, make_formulation(config), dataset)
        if corrupt:
            loop.restore(corrupt(loop.state()))
        for epoch in range(epochs):
            result = loop.run_epoch(epoch)
            if result.diverged_at is not None:
                return config, dataset, investigate(config, dataset, loop.bad_state, result.diverged_at)
        raise AssertionError("it did not diverge")

    return run


def with_number(state, path, number):
    """Another number at [3, 5]."""
    values = np.array(state[path])
    values[3, 5] = number
    return State({**state.values, path: values})


def test_a_nan_in_a_feature_is_named_with_its_molecule_and_column(diverge):
    def fault(dataset):
        features = dataset.train.x.copy()
        features[17, 42] = np.nan
        return replace(dataset, train=replace(dataset.train, x=features))

    config, dataset, found = diverge(fault=fault)
    row = found.batch.tolist().index(17)
    assert (found.tensor, found.cause) == ("features", "bad_input")
    assert found.batch.tolist() == batch_of_step(config, dataset, found.step).tolist()
    assert f"at [{row}, 42] is nan: row 17 of the train split ({dataset.train.names[17]})" in found.where


def test_the_batch_of_a_later_epoch_is_the_first_epoch_s_where_nothing_is_reshuffled(make_config, make_dataset):
    dataset = make_dataset(60)
    for reshuffle, same in (("false", True), ("true", False)):
        config = make_config(*TINY, f"training.reshuffle={reshuffle}")
        first, later = (batch_of_step(config, dataset, step).tolist() for step in (2, 2 + 3 * 6))
        assert (first == later) is same


def test_a_sum_of_outputs_that_is_zero_is_the_answer_s_fault(diverge):
    _, _, found = diverge("loss=answer", "model.alpha=0")
    assert (found.tensor, found.cause) == ("nodes_probabilities", "unnormalised_probabilities")
    assert "smallest sum of an atom's raw outputs is 0 " in found.evidence


@pytest.mark.parametrize(
    ("overrides", "tensor", "cause"),
    [
        (["optimizer.learning_rate=1e6"], "edges_gram", "learning_rate"),
        (["model.alpha=1e20"], "nodes_2_leaky_relu", "activation_overflow"),
        (["training.precision=float16", "model.alpha=5"], "edges_gram", "low_precision_overflow"),
        (["loss.weights.edges=1e38"], "grad_norm", "loss_weight"),
        (["optimizer.epsilon=0"], "update/edges_mixing/kernel", "epsilon"),
    ],
    ids=["learning rate", "alpha", "float16", "loss weight", "epsilon"],
)
def test_a_setting_that_overflows_is_named_as_the_cause(diverge, overrides, tensor, cause):
    _, _, found = diverge(*overrides)
    assert (found.tensor, found.cause) == (tensor, cause)


@pytest.mark.parametrize(
    ("overrides", "cause"),
    [(["model.alpha=1e20"], "activation_overflow"), (["optimizer.learning_rate=1e6"], "learning_rate")],
)
def test_labels_that_are_no_distributions_are_not_blamed_for_what_something_else_did(diverge, overrides, cause):
    def fault(dataset):
        return replace(dataset, warnings=("5 labels are none.",))

    _, _, found = diverge(*overrides, fault=fault)
    assert found.cause == cause


def test_a_second_moment_below_zero_is_a_corrupted_state(diverge):
    def corrupt(state):
        return with_number(state, moment_path("edges_1/kernel", "velocity"), -1)

    _, _, found = diverge(corrupt=corrupt)
    assert (found.step, found.tensor, found.cause) == (0, "update/edges_1/kernel", "corrupted_state")


def test_a_layer_of_huge_weights_is_a_weight_overflow_and_not_a_learning_rate(diverge):
    def corrupt(state):
        return State({**state.values, "edges_2/kernel": np.full((128, 256), 1e30, np.float32)})

    _, _, found = diverge(corrupt=corrupt)
    assert found.cause == "weight_overflow"
    assert "edges_2/kernel reaches 1e+30" in found.evidence


@pytest.mark.parametrize(
    ("moment", "of_keras"), [("first", "momentum"), pytest.param("second", "velocity", marks=pytest.mark.slow)]
)
def test_a_moment_that_is_nan_is_a_corrupted_state(diverge, moment, of_keras):
    def corrupt(state):
        return with_number(state, moment_path("edges_1/kernel", of_keras), np.nan)

    _, _, found = diverge(corrupt=corrupt)
    assert (found.step, found.tensor, found.cause) == (0, f"{moment}/edges_1/kernel", "corrupted_state")
    assert "the first at [3, 5] is nan" in found.where


@pytest.mark.slow
def test_a_step_that_is_finite_after_all_is_unknown_and_says_so(make_config, make_dataset):
    config, dataset = make_config(*TINY), make_dataset(60)
    loop = make_training(config, make_formulation(config), dataset)
    found = investigate(config, dataset, loop.state(), 2)
    assert (found.tensor, found.cause) == ("not found", "unknown")
    assert "every number of the step is finite" in found.evidence


def test_a_runaway_of_labels_that_are_no_distributions_is_blamed_on_them(make_config, make_dataset):
    config, dataset = make_config(*TINY), replace(make_dataset(60), warnings=("5 labels are none.",))
    state = make_training(config, make_formulation(config), dataset).state()
    found = investigate_runaway(config, dataset, state, Runaway(3, "nodes", "below_zero", -2.0, 1.0))
    assert (found.step, found.tensor, found.cause) == (3, "nodes_loss", "labels_not_a_distribution")
    assert found.runaway
    assert found.override == ""
    unlabelled = replace(dataset, warnings=())
    assert investigate_runaway(config, unlabelled, state, Runaway(3, "nodes", "growth", 1e9, 1.0)).cause == "unknown"


def test_every_rule_has_its_entry_in_the_catalogue():
    assert {*RULES, *(name for name, _ in GENERAL), "unknown", "untraced", "labels_outside_classes"} == set(CAUSES)


def test_the_page_on_causes_is_the_catalogue():
    page = (Path(__file__).parents[3] / "experiments" / "divergence" / "README.md").read_text()
    for name, cause in CAUSES.items():
        assert f"| `{name}` | {cause.meaning} | {cause.remedy} |" in page
