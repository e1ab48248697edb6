"""The first theorem on every problem that ships: same weights, same batches, one path, in every formulation.

Joint, split and zero_plus_total in jointdec's loop, and joint in Keras's own fit; float64, 200 steps.
"""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from jointdec.problems import SHIPPED, find

STEPS, BATCH = 200, 20
BOUND = 1e-9  # relative, and absolute for losses near 0; seen are 0 (most pairs) to 5e-15
PROBLEMS = {  # what makes each of 400 examples or so to train on
    "arrays": ["data.path=few.npz"],
    "gaussian": ["data.rows=500", "data.missing=0.2"],
    "molecules": [],
    "multimnist": ["data.rows=400", "model.width=8"],
    "penguins": [],
    "properties": ["data.rows=500"],
}
NEEDS = {"properties": "qm9pack"}
WAYS = {
    "joint": ["loss=joint"],
    "split": ["loss=split"],
    "zero_plus_total": ["loss=zero_plus_total"],
    "fit": ["loss=joint", "training=fit"],
}


def test_every_problem_that_ships_is_held_to_it():
    assert set(PROBLEMS) == set(SHIPPED)


@pytest.fixture
def problem(request, tmp_path, monkeypatch):
    """The name of a problem whose data are here."""
    name = request.param
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x, known = rng.normal(size=(500, 6)), rng.random(500) > 0.3
    labels = {"y/price": x.sum(1), "w/price": known, "y/kind": rng.integers(0, 3, 500), "y/tags": x[:, :3] > 0}
    visits = {"y/visits": rng.poisson(2, 500), "kind/visits": "counts"}
    np.savez(tmp_path / "few.npz", **{"x": x, **labels, **visits})
    return name


@pytest.fixture
def losses_of(configured, problem):
    """The losses of 200 steps, by name, of one way to train."""
    from jointdec.dataset import silent

    loaded = {}

    def losses(*typed):
        config = configured(f"problem={problem}", *PROBLEMS[problem], *typed, *common(problem))
        if not loaded:
            whole = find(config.problem).load(config.data, silent)
            loaded["few"] = replace(whole, train=whole.train.rows(slice(400)))
        return losses_after(config, loaded["few"])

    return losses


def common(problem):
    """Without XLA where its convolutions on a CPU take minutes."""
    jit = ["training.jit=false"] if problem == "multimnist" else []
    return ["training.precision=float64", f"training.batch_size={BATCH}", *jit]


def losses_after(config, dataset):
    from jointdec.objective.formulation import make_formulation
    from jointdec.training import make_training
    from jointdec.training.from_config import fit_labels

    formulation = make_formulation(config, dataset.train.x)
    training = make_training(config, formulation, fit_labels(dataset, formulation))
    epochs = [training.run_epoch(epoch).steps for epoch in range(-(-STEPS * BATCH // len(dataset.train)))]
    return {name: np.concatenate([steps[name] for steps in epochs])[:STEPS] for name in formulation.curves}


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS, indirect=True)
def test_the_formulations_and_fit_take_the_same_200_steps(losses_of, problem):
    without = [f"loss.terms.{term}=0" for term in find_terms(problem)]
    found = {way: losses_of(*typed, *without) for way, typed in WAYS.items()}
    for way, losses in found.items():
        assert len(losses["loss"]) == STEPS
        assert losses["loss"][-20:].mean() < losses["loss"][:20].mean(), "nothing was trained"
        for name, values in losses.items():
            np.testing.assert_allclose(values, found["joint"][name], rtol=BOUND, atol=BOUND, err_msg=f"{way} {name}")


@pytest.mark.slow
@pytest.mark.parametrize("problem", ["properties"], indirect=True)
def test_with_a_term_over_several_heads_joint_zero_plus_total_and_fit_take_the_same_200_steps(losses_of, problem):
    weights = [f"loss.terms.{term}=2" for term in find_terms(problem)]
    found = {way: losses_of(*typed, *weights) for way, typed in WAYS.items() if way != "split"}
    for way, losses in found.items():
        for name, values in losses.items():
            np.testing.assert_allclose(values, found["joint"][name], rtol=BOUND, atol=BOUND, err_msg=f"{way} {name}")
    total = sum(values for name, values in found["joint"].items() if name in find(problem).heads)
    np.testing.assert_allclose(found["joint"]["loss"], total + 2 * found["joint"][find_terms(problem)[0]], rtol=1e-9)


def find_terms(problem):
    return [] if problem == "arrays" else list(find(problem).terms)
