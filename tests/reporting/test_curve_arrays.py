import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jointdec.reporting.curve_arrays import (
    axis_of,
    epochs_frame,
    largest_difference,
    norms_frame,
    save_curves,
    steps_frame,
)
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


def results():
    """Two epochs of two steps, the gradient measured in steps 0 and 3, the second epoch without validation."""
    made = []
    for epoch, (step, val) in enumerate(((0, {"loss": 0.5}), (3, {}))):
        steps = {"loss": np.array([2.0, 1.0]) - epoch, "price": np.array([0.25, 0.125])}
        norms = {"grad_norm": np.array([step + 1.0]), "dense/first": np.array([step + 0.5])}
        train = {"loss": 1.5 - epoch}
        made.append(EpochResult(epoch, 2 * epoch, steps, train, val, 0.01, np.array([step]), norms))
    return made


def test_steps_are_indexed_by_their_global_number_with_a_column_a_loss():
    frame = steps_frame(results())
    assert (frame.index.name, frame.index.tolist()) == ("step", [0, 1, 2, 3])
    assert frame.to_dict("list") == {"loss": [2.0, 1.0, 1.0, 0.0], "price": [0.25, 0.125, 0.25, 0.125]}


def test_norms_have_rows_where_they_were_taken_and_no_gaps():
    frame = norms_frame(results())
    assert (frame.index.name, frame.index.tolist()) == ("step", [0, 3])
    assert frame.to_dict("list") == {"grad_norm": [1.0, 4.0], "dense/first": [0.5, 3.5]}


def test_epochs_have_means_validation_and_times():
    frame = epochs_frame(results())
    assert (frame.index.name, frame.index.tolist()) == ("epoch", [0, 1])
    assert list(frame.columns) == ["train/loss", "val/loss", "seconds", "ms_per_step"]
    np.testing.assert_array_equal(frame["val/loss"], [0.5, np.nan])
    np.testing.assert_allclose(frame["ms_per_step"], 5)


def test_a_run_that_ended_before_its_first_epoch_has_empty_frames():
    for frame in (steps_frame([]), norms_frame([]), epochs_frame([])):
        assert len(frame) == 0
