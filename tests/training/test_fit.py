"""Keras's own ``fit`` against the compiled program: the same training, step by step and bit for bit."""

import numpy as np
import pytest

from jointdec.objective.formulation import make_formulation
from jointdec.training import make_training

FEW = ["training.batch_size=10", "training.norms=1"]
# Validation adds up eagerly in the one and in XLA in the other: float32 sums of 81 terms in another order
VALIDATION = 1e-6
# In half precision XLA spares some roundings that eager operations make. With weights equal to the bit, bfloat16 logits
# differ by 6e-3 (one unit in the last place), losses by 1e-4, and one pair of 720, whose two best logits tie, changes
HALF = {"validation": 2e-4, "pairs": 1}


def trained(config, dataset, epochs=2):
    formulation = make_formulation(config)
    training = make_training(config, formulation, dataset)
    results = [training.run_epoch(epoch) for epoch in range(epochs)]
    return results, formulation.get_weights(), training


def assert_equal_trainings(make_config, dataset, flags, *, curves, weights, validation=VALIDATION, pairs=0):
    """Largest relative difference of a step's or a validation's losses, absolute one of a weight, of pairs decoded."""
    both = [make_config(*flags, "model.tower=[8]", f"training={name}", *FEW) for name in ("compiled", "fit")]
    (compiled, expected, _), (fit, ours, _) = (trained(config, dataset) for config in both)
    for one, other in zip(fit, compiled, strict=True):
        assert (one.epoch, one.first_step) == (other.epoch, other.first_step)
        np.testing.assert_array_equal(one.norm_steps, other.norm_steps)
        assert len(one.norm_steps) == len(one.steps["loss"])
        for ours_, theirs in ((one.steps, other.steps), (one.norms, other.norms)):
            assert list(ours_) == list(theirs)
            for name, values in ours_.items():
                np.testing.assert_allclose(values, theirs[name], rtol=curves, atol=0, err_msg=name)
        assert one.train == pytest.approx(other.train, rel=curves)
        for name in ("loss", "nodes", "edges"):
            assert one.val[name] == pytest.approx(other.val[name], rel=max(curves, validation)), name
        for name in ("node_accuracy", "exact"):
            assert one.val[name] == pytest.approx(other.val[name], rel=1e-12), name
        decoded = len(dataset.val) * 36
        assert one.val["edge_accuracy"] == pytest.approx(other.val["edge_accuracy"], rel=1e-12, abs=pairs / decoded)
    for name, value in ours.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=weights, err_msg=name)


# A step's own losses and norms are sums of an XLA program whose fusions differ, while the updates are the same
CURVES = 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["joint", "split"])
def test_fit_and_the_compiled_program_train_the_same_bits_in_float32(make_config, make_dataset, loss):
    assert_equal_trainings(make_config, make_dataset(23), [f"loss={loss}"], curves=CURVES, weights=0)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 5, 20])
@pytest.mark.parametrize("loss", ["joint", "split"])
def test_they_do_so_however_many_molecules_fill_the_batches(make_config, make_dataset, loss, size):
    assert_equal_trainings(make_config, make_dataset(size), [f"loss={loss}"], curves=CURVES, weights=0)


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "reshuffle"), [("joint", "true"), ("split", "true"), ("split", "false")])
def test_they_agree_in_float64_to_rounding(make_config, make_dataset, loss, reshuffle):
    flags = [f"loss={loss}", "training.precision=float64", f"training.reshuffle={reshuffle}"]
    assert_equal_trainings(make_config, make_dataset(23), flags, curves=1e-12, weights=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("model", ["two_tower", "scat"])
def test_they_agree_in_half_precision(make_config, make_dataset, precision, model):
    flags = [f"training.precision={precision}", f"model={model}"]
    assert_equal_trainings(make_config, make_dataset(23), flags, curves=1e-6, weights=1e-7, **HALF)
