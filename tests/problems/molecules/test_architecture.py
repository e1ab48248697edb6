import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointdec.objective.formulation import make_formulation
from jointdec.problems.molecules.architecture import architecture, initial_weights


def test_initial_weights_are_a_pure_function_of_architecture_and_seed(make_config):
    model = make_config("model=shared_trunk").model
    first, again, other = initial_weights(model, 3), initial_weights(model, 3), initial_weights(model, 4)
    assert list(first) == list(again) == list(other)
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
        assert name.endswith("bias") or not np.array_equal(value, other[name])


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_kernels_are_glorot_normal_truncated_at_two_deviations_and_biases_zero(make_config, seed):
    for name, value in initial_weights(make_config("model.tower=[64]", "model.mixing=false").model, seed).items():
        if name.endswith("bias"):
            assert (value == 0).all()
            continue
        glorot = np.sqrt(2 / sum(value.shape))
        untruncated = glorot / 0.8796256610342398  # the variance of N(0, 1) within +-2 is 0.7737
        assert np.abs(value).max() <= 2 * untruncated
        assert np.abs(value).max() > 1.9 * untruncated
        # standard errors of a mean and of a deviation over thousands of entries; six of each
        assert abs(value.mean()) < 6 * glorot / np.sqrt(value.size)
        assert abs(value.std() / glorot - 1) < 6 / np.sqrt(2 * value.size)


@pytest.mark.parametrize(
    ("initializer", "deviation", "kurtosis"),
    [
        ("glorot_uniform", lambda inputs, units: np.sqrt(2 / (inputs + units)), 9 / 5),
        ("he_normal", lambda inputs, units: np.sqrt(2 / inputs), 3.0),
    ],
)
def test_other_initializers_have_the_deviation_and_the_shape_of_their_papers(
    make_config, initializer, deviation, kurtosis
):
    config = make_config(f"model.initializer={initializer}").model
    for name, value in initial_weights(config, 0).items():
        if name.endswith("bias"):
            assert (value == 0).all()
            continue
        standard = value / deviation(*value.shape)
        n = value.size  # six standard errors each, those of a normal, which are the wider ones
        assert abs(standard.mean()) < 6 / np.sqrt(n)
        assert abs(standard.std() - 1) < 6 / np.sqrt(2 * n)
        assert abs((standard**4).mean() - kurtosis) < 6 * np.sqrt(96 / n)


@pytest.mark.parametrize("model", ["two_tower", "scat", "shared_trunk"])
def test_every_formulation_starts_from_the_same_weights_in_the_same_order(make_config, model):
    expected = initial_weights(make_config(f"model={model}").model, 5)
    for loss in ("joint", "split", "tf_native"):
        weights = make_formulation(make_config(f"model={model}", f"loss={loss}", "seed=5")).get_weights()
        assert list(weights) == list(expected)
        for name, value in weights.items():
            assert value.dtype == np.float32
            np.testing.assert_array_equal(value, expected[name].astype(np.float32))


def test_the_trunk_widens_what_the_towers_read(make_config):
    arch = architecture(make_config("model=shared_trunk", "model.trunk=[7,6]", "model.tower=[5]").model)
    assert [(layer.name, layer.inputs, layer.units) for layer in arch.layers] == [
        ("trunk_1", 135, 7),
        ("trunk_2", 7, 6),
        ("nodes_1", 6, 5),
        ("nodes_2", 5, 45),
        ("edges_1", 6, 5),
        ("edges_2", 5, 540),
        ("edges_mixing", 324, 324),
    ]
