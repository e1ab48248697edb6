from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from jointdec.reporting.curves import curves_figure, smooth
from jointdec.training.result import EpochResult

STEPS = 20


def run(epochs=3, first_epoch=0, every=1, **replaced):
    """Epochs with falling losses; ``nodes=...`` and the like replace a per-step curve, ``every`` thins the norms."""
    step = np.arange(epochs * STEPS)
    curves = {
        "nodes": 0.1 + np.exp(-step / 20),
        "edges": 0.2 + np.exp(-step / 30),
        "grad_norm": 1 / (1 + step),
    }
    curves["loss"] = curves["nodes"] + 2 * curves["edges"]
    curves |= replaced
    results = []
    for epoch in range(epochs):
        taken = slice(epoch * STEPS, (epoch + 1) * STEPS)
        steps = {name: curves[name][taken] for name in ("loss", "nodes", "edges")}
        norm = curves["grad_norm"][taken]
        val = {name: float(steps[name][-1]) for name in ("loss", "nodes", "edges")}
        val |= {"node_accuracy": 0.6 + 0.1 * epoch, "edge_accuracy": 0.8, "exact": 0.05 * epoch}
        number = first_epoch + epoch
        bad = np.flatnonzero(~np.isfinite(np.stack([*steps.values(), norm])).all(0))
        diverged_at = number * STEPS + int(bad[0]) if len(bad) else None
        first = number * STEPS
        measured = first + np.arange(0, STEPS, every)
        norms = {"grad_norm": norm[::every]}
        results.append(EpochResult(number, first, steps, {}, val, 1.0, measured, norms, diverged_at))
    return results


def drawn(figure):
    """The figure's pixels, after everything has really been drawn."""
    file = BytesIO()
    figure.savefig(file)
    file.seek(0)
    return imread(file)


def divergence(figure):
    """Step of the vertical line in each panel, and the text beside it."""
    at = [
        {
            float(line.get_xdata()[0])
            for line in axes.lines
            if len(set(line.get_xdata())) == 1 == len(line.get_ydata()) - 1
        }
        for axes in figure.axes
    ]
    return at, [text.get_text() for text in figure.axes[0].texts]


def test_the_picture_is_10_by_9_inches_at_150_dots_and_not_empty():
    pixels = drawn(curves_figure(run(), "a run"))
    assert pixels.shape[:2] == (1350, 1500)
    assert (pixels[..., :3].min(axis=-1) < 0.5).mean() > 0.005


def test_the_title_is_the_callers():
    assert curves_figure(run(), "split_loss, seed 3").get_suptitle() == "split_loss, seed 3"


def test_positive_losses_get_a_log_axis():
    losses, _, norms = curves_figure(run(), "").axes
    assert (losses.get_yscale(), norms.get_yscale()) == ("log", "log")


@pytest.mark.parametrize(("lowest", "scale"), [(-1.0, "linear"), (0.0, "linear"), (-1e15, "symlog")])
def test_losses_that_reach_0_or_below_get_an_axis_that_shows_them(lowest, scale):
    nodes = np.linspace(5, lowest, 3 * STEPS)
    figure = curves_figure(run(nodes=nodes), "")
    drawn(figure)
    assert figure.axes[0].get_yscale() == scale
    assert figure.axes[0].get_ylim()[0] < lowest


def test_a_run_that_stays_finite_has_no_mark():
    at, texts = divergence(curves_figure(run(), ""))
    assert at == [set()] * 3
    assert texts == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["loss", "nodes", "edges", "grad_norm"])
@pytest.mark.parametrize("step", [0, 27, 59])
def test_the_first_step_that_is_not_finite_is_marked_in_every_panel(name, bad, step):
    values = np.linspace(3, 1, 3 * STEPS)
    values[step:] = bad
    figure = curves_figure(run(**{name: values}), "")
    assert divergence(figure) == ([{step}] * 3, [f"diverged at step {step}"])


def test_a_resumed_run_is_marked_at_its_global_step():
    nodes = np.ones(3 * STEPS)
    nodes[5] = np.nan
    assert divergence(curves_figure(run(first_epoch=4, nodes=nodes), ""))[1] == ["diverged at step 85"]


def test_the_mark_is_seen_in_the_picture():
    bad = np.ones(3 * STEPS)
    bad[30:] = np.nan
    with_mark = curves_figure(run(edges=bad), "")
    pixels = drawn(with_mark)
    axes = with_mark.axes[1]
    x, _ = axes.transData.transform((30, 0.5))
    dark = (pixels[:, int(x) - 3 : int(x) + 4, :3].max(axis=-1) < 0.4).any(axis=1)
    rows = slice(int(1350 - axes.bbox.y1), int(1350 - axes.bbox.y0))
    assert 0.2 < dark[rows].mean() < 0.9  # dotted


def test_values_that_are_not_finite_leave_a_gap_and_do_not_break_the_log_axes():
    nodes, norm = np.full(3 * STEPS, 0.5), np.full(3 * STEPS, 2.0)
    nodes[10:20], norm[10:15], norm[15:20] = np.nan, np.inf, 0.0
    figure = curves_figure(run(nodes=nodes, grad_norm=norm), "")
    drawn(figure)
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "linear", "log"]
    for axes, values in ((figure.axes[0], nodes), (figure.axes[2], np.where(norm > 0, norm, np.nan))):
        raw = next(line for line in axes.lines if np.array_equal(line.get_ydata()[:10], values[:10]))
        assert np.isnan(raw.get_ydata()[10:15]).all()
        assert np.isfinite(axes.get_ylim()).all()


def test_a_run_without_one_finite_number_is_drawn():
    nan = np.full(STEPS, np.nan)
    figure = curves_figure(run(1, loss=nan, nodes=nan, edges=nan, grad_norm=nan), "")
    drawn(figure)
    assert divergence(figure)[1] == ["diverged at step 0"]


def test_validation_stands_at_the_end_of_its_epoch():
    _, accuracies, _ = curves_figure(run(first_epoch=2), "").axes
    assert {tuple(line.get_xdata()) for line in accuracies.lines} == {(60, 80, 100)}
    assert [0.6, 0.7, 0.8] in [pytest.approx(list(line.get_ydata())) for line in accuracies.lines]


def test_a_run_of_one_step_is_drawn():
    norms = {"grad_norm": np.ones(1)}
    result = EpochResult(0, 0, {"loss": np.ones(1)}, {}, {"loss": 0.5, "exact": 0.5}, 1.0, np.zeros(1, np.int64), norms)
    drawn(curves_figure([result], ""))


def test_the_gradient_s_norm_stands_at_the_steps_in_which_it_was_measured():
    (*_, norms) = curves_figure(run(first_epoch=1, every=8), "").axes
    assert {tuple(line.get_xdata()) for line in norms.lines} == {(20, 28, 36, 40, 48, 56, 60, 68, 76)}


def test_losses_alone_are_drawn_whatever_the_heads_are_called():
    result = EpochResult(0, 0, {"loss": np.ones(4), "price": np.ones(4), "kind": np.ones(4)}, {}, {}, 1.0)
    figure = curves_figure([result], "")
    drawn(figure)
    (losses,) = figure.axes
    assert [text.get_text() for text in losses.get_legend().get_texts()] == ["total", "price", "kind"]
    assert "validation" not in losses.get_legend().get_title().get_text()


def test_metrics_that_are_no_shares_have_an_axis_of_their_own_size():
    result = EpochResult(0, 0, {"loss": np.ones(4)}, {}, {"loss": 2.0, "price_mae": 40.0}, 1.0)
    figure = curves_figure([result], "")
    drawn(figure)
    _, metrics = figure.axes
    assert metrics.get_ylim()[1] > 40
    assert metrics.get_ylabel() == "validation: metrics"


def test_metrics_are_called_as_their_problem_calls_them_and_twelve_lines_look_different():
    names = [f"task_{number}_auc" for number in range(12)]
    val = {"loss": 2.0} | dict.fromkeys(names, 0.5)
    result = EpochResult(0, 0, {"loss": np.ones(4)}, {}, val, 1.0)
    figure = curves_figure([result], "", {"task_3_auc": "the third"})
    drawn(figure)
    _, metrics = figure.axes
    texts = [text.get_text() for text in metrics.get_legend().get_texts()]
    assert texts[2:5] == ["task 2 auc", "the third", "task 4 auc"]
    assert metrics.get_ylabel() == "validation: share"
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in metrics.lines}
    assert len(looks) == 12


def test_no_legend_covers_data():
    figure = curves_figure(run(), "")
    drawn(figure)
    for axes in figure.axes[:2]:
        assert axes.get_legend().get_window_extent().x0 >= axes.bbox.x1


def test_no_epochs_have_no_curves():
    with pytest.raises(ValueError, match="without an epoch"):
        curves_figure([], "")


VALUES = st.lists(st.one_of(st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf])), min_size=1, max_size=40)


@given(VALUES, st.integers(0, 12))
def test_smoothing_is_the_mean_of_the_finite_values_around_each_finite_step(values, half):
    values = np.array(values)
    got = smooth(values, 2 * half + 1)
    for step, value in enumerate(values):
        before = min(half, step)
        after = before if step < half else half
        around = values[step - before : step + after + 1]
        expected = around[np.isfinite(around)].mean() if np.isfinite(value) else np.nan
        assert got[step] == pytest.approx(expected, rel=1e-9, abs=1e-6, nan_ok=True)


def test_a_gradient_s_norm_that_is_finite_in_one_step_alone_is_seen():
    norm = np.full(3 * STEPS, np.nan)
    norm[0] = 0.5
    (*_, norms) = curves_figure(run(grad_norm=norm), "").axes
    assert any(line.get_marker() == "o" and line.get_ydata()[0] == 0.5 for line in norms.lines)
