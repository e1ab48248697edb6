import numpy as np

from jointdec.reporting.frames import epochs_frame, norms_frame, steps_frame
from jointdec.training.result import EpochResult


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
