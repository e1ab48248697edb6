"""The TensorFlow 1 program against the compiled program, which is tested against numpy."""

from dataclasses import replace

import numpy as np
import pytest

from jointdec.objective.formulation import make_formulation
from jointdec.problems.molecules.session import SessionTraining
from jointdec.training import make_training

FLAGS = ["model.tower=[8]", "training.batch_size=10", "training.precision=float64", "training.norms=1"]


def trained(config, dataset, change=None):
    formulation = make_formulation(config)
    training = make_training(config, formulation, dataset)
    if change:
        formulation.set_live(replace(config, **change))
    return [training.run_epoch(epoch) for epoch in (0, 1)], formulation, training


@pytest.mark.slow
@pytest.mark.parametrize("model", ["two_tower", "scat", "shared_trunk"])
def test_two_epochs_with_an_incomplete_last_batch_are_those_of_the_compiled_program(make_config, make_dataset, model):
    config = make_config(f"model={model}", *FLAGS)
    weights = replace(config.loss, weights={"nodes": 3.0, "edges": 0.5})
    change = {"model": replace(config.model, alpha=0.05), "loss": weights}
    (ours, one, training), (theirs, other, _) = (
        trained(make_config(f"loss={loss}", f"model={model}", *FLAGS), make_dataset(23), change)
        for loss in ("tf1_graph", "tf_native")
    )
    assert isinstance(training, SessionTraining)
    for result, expected in zip(ours, theirs, strict=True):
        assert (result.epoch, result.first_step) == (expected.epoch, expected.first_step)
        np.testing.assert_array_equal(result.norm_steps, expected.norm_steps)
        assert len(result.norm_steps) == 3
        for ours_, theirs_ in ((result.steps, expected.steps), (result.norms, expected.norms)):
            assert list(ours_) == list(theirs_)
            for name, values in ours_.items():
                np.testing.assert_allclose(values, theirs_[name], rtol=1e-10, err_msg=name)
        assert result.train == pytest.approx(expected.train, rel=1e-10)
        # its features reach the evaluation in float32, which the graph takes as they are
        assert result.val == pytest.approx(expected.val, rel=1e-10)
    for name, value in one.get_weights().items():
        np.testing.assert_allclose(value, other.get_weights()[name], rtol=0, atol=1e-10, err_msg=name)


def test_weights_of_another_formulation_can_be_copied_in(make_config, random_weights):
    formulation = make_formulation(make_config("loss=tf1_graph", *FLAGS))
    other = make_formulation(make_config("loss=joint", *FLAGS))
    weights = random_weights(other)
    for each in (formulation, other):
        each.set_weights(weights)
    features = np.random.default_rng(0).normal(size=(5, 135))
    ours, theirs = formulation.logits(features), other.logits(features)
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-12)
