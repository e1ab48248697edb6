"""The report and the picture of a divergence. Truths: what was put in; the picture's own lines and pixels."""

from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from jointdec.divergence.catalogue import CAUSES
from jointdec.divergence.record import Divergence, Traced
from jointdec.reporting.divergence import SHOWN, divergence_figure, divergence_report
from jointdec.training.result import EpochResult

STEPS = 150
EVERY = 4  # steps from one measured gradient to the next


def results(epochs=3):
    """Epochs of 150 steps, the last one cut at its 101st by a NaN."""
    made = []
    for number in range(epochs):
        count = STEPS if number < epochs - 1 else 101
        step = number * STEPS + np.arange(count)
        steps = {"loss": 5 / (1 + step), "nodes": 1 / (1 + step), "edges": 2 / (1 + step)}
        measured = step[step % EVERY == 0]
        norms = {"grad_norm": 1.0 + measured, "nodes_1": 2.0 + measured, "edges_1": 3.0 + measured}
        if number == epochs - 1:
            steps["nodes"][-1] = steps["loss"][-1] = norms["nodes_1"][-1] = np.nan
        made.append(EpochResult(number, number * STEPS, steps, {}, {}, 1.0, measured, norms))
    return made


def divergence(cause="unnormalised_probabilities", tensor="nodes_log"):
    trace = [
        Traced("features", "input", "the batch", np.ones((2, 135))),
        Traced("nodes_log", "loss", "log of the clipped", np.array([1.0, np.nan])),
    ]
    return Divergence(400, np.array([17, 4]), tensor, "1 of 2 values.", cause, "The sum is 0.", trace, False)


@pytest.mark.parametrize("cause", CAUSES)
def test_the_report_says_what_where_why_and_what_to_try(cause):
    report = divergence_report(divergence(cause), results(), "abc123")
    found = CAUSES[cause]
    assert report.startswith("# Diverged in step 400")
    for fact in ("**`nodes_log`**: log of the clipped", "1 of 2 values.", found.meaning, "The sum is 0.", found.remedy):
        assert fact in report
    assert ("python -m jointdec.replay abc123" in report) == bool(found.override)
    assert "Rows of the train split, in their order: 17, 4." in report


def test_the_report_shows_the_steps_before_and_the_tensors_before():
    report = divergence_report(divergence(), results(), None)
    assert "| step | loss | nodes | edges | grad_norm |" in report
    assert "| 396 | 0.01259 | 0.002519 | 0.005038 | 397 |" in report
    assert "| 399 | 0.0125 | 0.0025 | 0.005 |  |" in report  # its gradient was not measured
    assert "| 400 | nan | nan | 0.004988 | 401 |" in report
    assert "| 392 |" not in report
    assert "| features | the batch | 2 x 135 | 1 | 0 |" in report
    assert "| **nodes_log** | log of the clipped | 2 | 1 | 1 |" in report
    assert "jointdec.replay" not in report


def test_a_step_that_could_not_be_reproduced_is_reported_as_that():
    report = divergence_report(divergence("unknown", "not found"), results(), None)
    assert "the step is finite" in report


def test_the_picture_shows_the_last_steps_of_all_losses_and_layers_and_marks_the_step():
    figure = divergence_figure(results(), 400)
    losses, norms = figure.axes
    drawn = {line.get_label(): line for line in [*losses.lines, *norms.lines]}
    assert {"total", "nodes", "edges", "nodes_1", "edges_1"} <= set(drawn)
    steps = drawn["edges"].get_xdata()
    assert (steps[0], steps[-1], len(steps)) == (400 - SHOWN + 1, 400, SHOWN)
    assert np.isnan(drawn["nodes"].get_ydata()[-1])
    assert drawn["edges_1"].get_xdata().tolist() == list(range(204, 401, EVERY))
    assert "grad_norm" not in drawn
    assert [text.get_text() for text in losses.texts] == ["diverged at step 400"]
    for axes in figure.axes:
        assert any(set(line.get_xdata()) == {400} for line in axes.lines)


def test_the_picture_of_a_run_that_diverged_at_once_is_drawn():
    nan = np.array([np.nan])
    norms = {"grad_norm": nan, "nodes_1": nan}
    figure = divergence_figure([EpochResult(0, 0, {"loss": nan}, {}, {}, 1.0, np.array([0]), norms)], 0)
    file = BytesIO()
    figure.savefig(file)
    file.seek(0)
    assert imread(file).shape == (1200, 1350, 4)


def test_a_run_of_one_step_has_whole_numbers_on_its_axis():
    figure = divergence_figure([EpochResult(0, 0, {"loss": np.ones(1)}, {}, {}, 1.0)], 0)
    figure.savefig(BytesIO())
    left, right = figure.axes[1].get_xlim()
    assert [tick for tick in figure.axes[1].get_xticks() if left <= tick <= right] == [0]
