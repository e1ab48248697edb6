import numpy as np
import pytest

from jointdec.comparing import measured as module
from jointdec.comparing.figures import front, style
from jointdec.comparing.groups import make_groups
from jointdec.comparing.measured import POINTS, gather


@pytest.fixture
def gathered(monkeypatch, make_runs):
    def gather_these(*arrays):
        (group,) = make_groups(make_runs(*({"seed": seed} for seed in range(len(arrays)))), ["loss"], [])
        pairs = zip(group.runs["run_id"], arrays, strict=True)
        monkeypatch.setattr(module, "iterate_curves", lambda *_: pairs)
        return gather(group, None)

    return gather_these


def run_of(steps, epochs=2, **arrays):
    return {"step": np.arange(steps), "epoch": np.arange(epochs), **arrays}


def test_long_curves_become_means_over_equal_parts_and_short_ones_stay(gathered):
    long, short = np.arange(1000.0), np.arange(50.0)
    curve = gathered(run_of(1000, **{"step/nodes": long})).curves["step/nodes"]
    assert curve.values.shape == (1, POINTS)
    np.testing.assert_allclose(curve.values[0], long.reshape(POINTS, 5).mean(1))
    np.testing.assert_allclose(curve.steps, long.reshape(POINTS, 5).mean(1) + 0.5)
    np.testing.assert_array_equal(gathered(run_of(50, **{"step/nodes": short})).curves["step/nodes"].values[0], short)


def test_a_run_that_ended_early_leaves_a_gap_and_does_not_shorten_the_others(gathered):
    long, short = run_of(20, **{"step/nodes": np.ones(20)}), run_of(3, 1, **{"step/nodes": np.full(3, 2.0)})
    values = gathered(short, long).curves["step/nodes"].values
    assert values.shape == (2, 20)
    assert np.isfinite(values[0]).sum() == 3
    assert np.isfinite(values[1]).all()


def test_norms_of_every_tenth_step_stand_there_beside_those_of_every_step_from_before(gathered):
    before = run_of(40, **{"step/grad_norm": np.arange(40.0)})
    every_tenth = np.arange(0, 40, 10)
    now = run_of(40, **{"norm_step": every_tenth, "step/grad_norm": every_tenth.astype(float)})
    curve = gathered(before, now).curves["step/grad_norm"]
    assert curve.steps.tolist() == [5, 15, 25, 35]
    np.testing.assert_array_equal(curve.values, [[4.5, 14.5, 24.5, 34.5], [0, 10, 20, 30]])


def test_infinite_losses_are_in_no_mean(gathered):
    loss = np.ones(1000)
    loss[::2] = np.inf
    assert (gathered(run_of(1000, **{"step/nodes": loss})).curves["step/nodes"].values == 1).all()


def test_epochs_stand_at_the_steps_after_which_they_were_judged(gathered):
    found = gathered(run_of(40, epochs=4, **{"val/exact": np.linspace(0, 1, 4)}))
    assert found.curves["val/exact"].steps.tolist() == [10, 20, 30, 40]


def test_runs_without_curves_are_named(gathered):
    found = gathered(run_of(4, **{"val/exact": np.ones(2)}), None)
    assert found.missing == ["run1"]
    assert list(found.epochs) == ["run0"]


def test_the_front_holds_what_nothing_beats_in_both():
    points = np.array([[1.0, 1.0], [2.0, 0.5], [0.5, 2.0], [0.9, 0.9], [2.0, 0.4]])
    assert front(points) == [2, 0, 1]
    assert front(np.array([[1.0, 1.0], [1.0, 1.0]])) == [0, 1]  # equals do not beat each other


def test_no_two_of_forty_groups_look_alike_even_in_black_and_white_for_the_first_seven():
    looks = [style(number) for number in range(40)]
    assert len({(str(look["color"]), str(look["linestyle"]), look["marker"]) for look in looks}) == 40
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks[:7]}) == 7
