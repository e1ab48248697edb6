import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jointdec.reporting.curve_arrays import axis_of, largest_difference, save_curves
from jointdec.training.result import EpochResult
from jointdec.training.state import read_arrays

values = arrays(np.float64, 4, elements=st.floats(width=32, allow_nan=True, allow_infinity=True))


def epoch(number, losses):
    steps = {"loss": losses, "price": losses + 1}
    first = 4 * number
    norms = {"grad_norm": 2 * losses[::2], "block/dense": 3 * losses[::2]}  # of every second step
    return EpochResult(number, first, steps, {"loss": 1.0}, {"mae": 0.5}, 1.0, first + np.array([0, 2]), norms)


@given(first=values, second=values)
def test_every_number_comes_back_nan_and_inf_included(first, second, tmp_path_factory):
    file = tmp_path_factory.mktemp("curves") / "curves.npz"
    save_curves([epoch(2, first), epoch(3, second)], file)
    curves = read_arrays(file)
    both = np.concatenate([first, second])
    np.testing.assert_array_equal(curves["step"], np.arange(8, 16))
    np.testing.assert_array_equal(curves["step/loss"], both)
    np.testing.assert_array_equal(curves["step/price"], both + 1)
    assert curves["norm_step"].tolist() == [8, 10, 12, 14]
    np.testing.assert_array_equal(curves["step/grad_norm"], 2 * both[::2])
    np.testing.assert_array_equal(curves["layer/block/dense"], 3 * both[::2])
    assert curves["epoch"].tolist() == [2, 3]
    assert curves["val/mae"].tolist() == [0.5, 0.5]


def test_each_curve_has_its_axis_and_files_of_before_have_their_norms_over_all_steps():
    now, before = ("step", "norm_step", "epoch"), ("step", "epoch")
    curves = ("step/loss", "step/grad_norm", "layer/block/dense", "train/loss", "seconds")
    assert [axis_of(curve, now) for curve in curves] == ["step", "norm_step", "norm_step", "epoch", "epoch"]
    assert [axis_of(curve, before) for curve in curves] == ["step", "step", "step", "epoch", "epoch"]


def test_equal_curves_have_no_difference_even_where_they_are_nan():
    curves = {"step/loss": np.array([1.0, np.nan, np.inf])}
    assert largest_difference(curves, {name: value.copy() for name, value in curves.items()}) is None


def test_the_largest_relative_difference_is_named_with_its_place():
    then = {"step/loss": np.array([1.0, 100.0]), "step/nodes": np.array([4.0, 2.0])}
    now = {"step/loss": np.array([1.0, 101.0]), "step/nodes": np.array([4.0, 2.2])}
    text = largest_difference(then, now)
    assert text.startswith("step/nodes: 2 then, 2.2 now, in place 1")
    assert "relative difference 0.091" in text  # of the larger one


def test_one_bit_is_a_difference():
    then, now = {"a": np.array([1.0])}, {"a": np.array([np.nextafter(1.0, 2)])}
    assert "relative difference 2.2e-16" in largest_difference(then, now)


def test_a_nan_against_a_number_is_the_largest_difference_of_all():
    then, now = {"a": np.array([1.0, 1.0])}, {"a": np.array([2.0, np.nan])}
    assert "nan now, in place 1" in largest_difference(then, now)


def test_curves_of_another_length_are_different():
    assert "other lengths" in largest_difference({"a": np.ones(2)}, {"a": np.ones(3)})


def test_a_record_of_before_with_the_norm_of_every_step_is_held_against_the_steps_measured_now():
    losses = {"step": np.arange(4), "step/loss": np.ones(4)}
    then = losses | {"step/grad_norm": np.array([1.0, 2.0, 3.0, 4.0])}
    now = losses | {"norm_step": np.array([0, 2]), "step/grad_norm": np.array([1.0, 3.0])}
    assert largest_difference(then, now) is None
    assert "3 then, 3.5 now" in largest_difference(then, now | {"step/grad_norm": np.array([1.0, 3.5])})
