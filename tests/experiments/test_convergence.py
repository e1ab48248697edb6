"""The convergence study: its effects against formulas, its levels, and that a quick one runs, goes on, and writes."""

import csv
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from jointdec.problems import find
from jointdec.tracking.records import flat

FOLDER = Path(__file__).parents[2] / "experiments" / "convergence"


@pytest.fixture(scope="module")
def study(import_from):
    return import_from("convergence", "curves", "effects", "levels", "labels", "page", "speed")


@pytest.fixture(scope="module")
def make_curve(study):
    """A run whose validation loss is exp(-rate t) and whose training loss is the same, after t epochs."""

    def make(level, seed, *, rate=1.0, steps=100, epochs=3, scale=1.0):
        t = np.arange(1, epochs + 1)
        shares = {name: 1 - np.exp(-rate * t) for name in ("node_accuracy", "edge_accuracy", "exact")}
        losses = {name: scale * np.exp(-rate * t) for name in ("loss", "nodes", "edges")}
        tenths = np.arange(1, 10 * epochs + 1) / 10
        return study.curves.Curve(level, seed, steps, losses | shares, scale * np.exp(-rate * tenths))

    return make


def test_between_two_epochs_a_loss_follows_a_power_law_and_outside_of_them_it_is_refused(make_curve, study):
    curve = make_curve("reference", 0)
    curve.validation["loss"], curve.validation["exact"] = 2 * np.arange(1.0, 4.0) ** -0.7, np.array([0.1, 0.3, 0.4])
    for epoch in (1, 1.2, 2, 2.9, 3):
        assert curve.at("loss", epoch) == pytest.approx(2 * epoch**-0.7)
    assert curve.at("exact", math.sqrt(2)) == pytest.approx(0.2)  # halfway over the logarithm
    for epoch in (0.9, 3.1):
        with pytest.raises(ValueError, match="reference was validated after 1 to 3 epochs, not after"):
            curve.at("loss", epoch)


def test_the_epochs_to_a_loss_are_where_an_exponential_has_it(make_curve):
    curve = make_curve("reference", 0, rate=0.7)
    assert curve.epochs_to(math.exp(-0.7 * 1.234)) == pytest.approx(1.234)
    assert curve.epochs_to(math.exp(-0.7 * 3.1)) == math.inf
    assert curve.epochs_to(2.0) == 0.1


def test_a_trials_curve_is_its_validation_and_the_median_of_each_tenth_of_an_epoch(study, tmp_path):
    loss = np.arange(40.0)
    loss[3] = 1e9  # one molecule unlike all others
    arrays = {f"val/{name}": np.array([0.5, 0.25]) for name in study.curves.VALIDATION}
    np.savez(tmp_path / "curves.npz", **arrays, **{"step/loss": loss, "epoch": np.arange(2)})
    curve = study.curves.read("reference", 4, tmp_path)
    assert (curve.epochs, curve.steps_per_epoch, curve.seed) == (2, 20, 4)
    expected = np.arange(40.0).reshape(20, 2).mean(1)
    expected[1] = (2 + 1e9) / 2
    np.testing.assert_allclose(curve.train, expected)


def test_equal_costs_are_equal_epochs_steps_or_seconds(study, make_curve):
    reference, level = make_curve("reference", 0, steps=600), make_curve("batch_300", 0, steps=100, epochs=18)
    cost = {budget: study.effects.epochs_at(budget, level, reference, 4.0) for budget in study.effects.BUDGETS}
    assert cost == {"epochs": 3, "steps": 18, "seconds": 4.5}


def test_intervals_that_hold_at_once_are_students_at_bonferronis_level(study):
    rng = np.random.default_rng(0)
    pairs = {name: (dict(enumerate(rng.normal(size=5))), dict(enumerate(rng.normal(size=5)))) for name in "abcd"}
    found = study.effects.together(pairs)
    for name, (here, there) in pairs.items():
        paired = np.array(list(here.values())) - np.array(list(there.values()))
        low, high = stats.t.interval(1 - 0.05 / 4, 4, loc=paired.mean(), scale=stats.sem(paired))
        assert (found[name].low, found[name].high) == pytest.approx((low, high))
        assert found[name].holds == (low > 0 or high < 0)


def runs_of(make_curve, spread=0.3, **levels):
    """Level -> five runs whose loss has a seed's own factor, which pairing takes out, and a little noise."""
    rng = np.random.default_rng(1)
    factor = np.exp(rng.normal(0, spread, 5))
    return {
        name: [make_curve(name, seed, **given, scale=factor[seed] * np.exp(rng.normal(0, 1e-4))) for seed in range(5)]
        for name, given in levels.items()
    }


def test_a_level_that_learns_twice_as_fast_an_epoch_in_twice_as_many_steps_is_no_faster_a_step(study, make_curve):
    runs = runs_of(make_curve, reference={"rate": 0.5}, batch_20={"rate": 1.0, "steps": 200})
    levels = [level for level in study.levels.FULL.levels if level.name in runs]
    found = study.effects.speeds(runs, levels, {"reference": 1.0, "batch_20": 0.8})
    faster = {budget: math.exp(found[budget]["batch_20"].difference.mean) for budget in found}
    assert faster == pytest.approx({"epochs": 2.0, "steps": 1.0, "seconds": 1.25}, rel=1e-3)
    assert found["epochs"]["batch_20"].holds
    assert not found["steps"]["batch_20"].holds


def test_a_level_that_never_gets_there_has_no_speed_and_the_answers_loss_is_not_held_against_the_others(
    study, make_curve
):
    runs = runs_of(make_curve, reference={"rate": 0.5}, alpha_0_1={"rate": 0.1}, answer={"rate": 2.0})
    runs["alpha_0.1"] = runs.pop("alpha_0_1")
    levels = [level for level in study.levels.FULL.levels if level.name in runs]
    ratios = dict.fromkeys(runs, 1.0)
    assert study.effects.speeds(runs, levels, ratios)["epochs"] == {}
    assert list(study.effects.loss_effects(runs, levels, ratios)["epochs"]) == ["alpha_0.1"]
    assert set(study.effects.share_effects(runs, levels, ratios, "exact")["epochs"]) == {"alpha_0.1", "answer"}


def test_the_effect_on_the_loss_is_the_log_of_the_ratio(study, make_curve):
    runs = runs_of(make_curve, reference={"rate": 0.5}, he_normal={"rate": 0.6}, whiten={"rate": 0.45})
    levels = [level for level in study.levels.FULL.levels if level.name in runs]
    found = study.effects.loss_effects(runs, levels, dict.fromkeys(runs, 1.0))["epochs"]
    assert found["he_normal"].difference.mean == pytest.approx(-0.3, abs=1e-3)
    assert [row[:2] for row in study.effects.ranking(found, levels)] == [
        ("initializer", "he_normal"),
        ("normalisation", "whiten"),
    ]


def test_seconds_in_the_programs_own_loops_are_their_steps_times_what_a_step_takes_there(study, make_curve):
    runs = runs_of(
        make_curve,
        spread=0,
        reference={"rate": 0.5, "steps": 2000},
        as_tf1={"rate": 0.25, "steps": 350, "epochs": 6},
    )
    lines = study.page.own_loops(runs, {("keras", 50): 7.0, ("tf1", 300): 14.0, ("tf1", 50): 4.0})
    keras, tf1 = ([cell.split(" (")[0] for cell in line.split(" | ")[3:]] for line in lines[4:6])
    # to exp(-0.5 x 2): 2 epochs of 2,000 steps of 7 ms, against 4 epochs of 350 steps of 14 ms
    assert (keras[1], tf1[1]) == ("4,000", "1,400")
    assert (keras[2], tf1[2]) == ("28.0", "19.6")
    times = study.page.loop_times(study.page.THROUGHPUT)
    assert times["keras", 50] > times["tf1", 50] > times["compiled", 50] > 0


def test_changes_together_are_held_against_the_sum_of_each_alone(study, make_curve):
    alone = {"he_normal": 0.2, "plain_gram": -0.1, "whiten": 0.05}
    together = {"he_gram": 0.1, "he_whiten": 0.28, "gram_whiten": -0.05, "he_gram_whiten": 0.2}
    names = {"reference": 0.0, **alone, **together}
    levels = [level for level in study.levels.FULL.levels if level.name in names]
    runs = {name: [make_curve(name, seed) for seed in range(3)] for name in names}
    found = study.effects.combined(runs, levels, lambda curve, epoch: names[curve.level] + curve.seed)
    expected = {"he_gram": 0.1, "he_whiten": 0.25, "gram_whiten": -0.05, "he_gram_whiten": 0.15}
    assert {name: row[0] for name, row in found.items()} == pytest.approx(expected)
    assert {name: row[1] for name, row in found.items()} == pytest.approx(together)
    beyond = {name: row[2].difference.mean for name, row in found.items()}
    assert beyond == pytest.approx({name: together[name] - expected[name] for name in expected}, abs=1e-12)


def test_a_level_that_was_not_trained_for_as_long_is_absent_there_and_its_cell_says_so(study, make_curve):
    runs = runs_of(make_curve, reference={}, plain_gram={"epochs": 4}, float64={})
    levels = [level for level in study.levels.FULL.levels if level.name in runs]
    found = study.effects.loss_effects(runs, levels, {"reference": 1.0, "plain_gram": 0.7, "float64": 4.0})
    assert set(found["epochs"]) == set(found["steps"]) == {"plain_gram", "float64"}
    assert found["seconds"] == {}
    table = study.page.loss_table(runs, levels, {"reference": 1.0, "plain_gram": 0.7, "float64": 4.0})
    assert sum("not trained that far" in line for line in table) == 2


def test_every_level_is_a_configuration_that_differs_from_the_reference_in_what_it_says(study):
    reference = study.levels.configure(study.levels.FULL, study.levels.REFERENCE, {"training.epochs": 1})
    before = flat(reference)
    for level in study.levels.LEVELS:
        after = flat(study.levels.configure(study.levels.FULL, level, {"training.epochs": 1}))
        changed = {key for key in {**before, **after} if before.get(key) != after.get(key)}
        said = {override.partition("=")[0] for override in level.overrides}
        assert {group for group in ("model", "loss") if group in said} <= {key.partition(".")[0] for key in changed}
        details = ("model.name", "model.mixing", "loss.name", "loss.specimen")  # what another network or loss decides
        assert {key for key in changed if not key.startswith(details)} == said - {"model", "loss"}, level.name
    names = [level.name for level in study.levels.LEVELS]
    assert len(set(names)) == len(names)


def test_the_reference_has_a_gradient_into_the_labels_and_its_peer_none(study, make_config, molecules):
    config = make_config("loss=tf_native", "model.tower=[8]")
    assert study.labels.passes_gradient(study.labels.TfNative(find("molecules"), config), molecules.train)
    assert not study.labels.passes_gradient(study.labels.LabelsStopped(find("molecules"), config), molecules.train)


def test_times_are_compared_within_their_round(study):
    measured = {"reference": [1.0, 2.0, 4.0], "batch_300": [4.0, 8.2, 15.6]}  # a machine that grows busier
    assert study.speed.ratios(measured) == {"reference": 1.0, "batch_300": 4.0}


@pytest.mark.slow
def test_a_quick_one_runs_writes_its_files_and_has_nothing_left_to_do_the_second_time(tmp_path, run_again):
    command = [sys.executable, str(FOLDER / "convergence.py"), "quick=true", "--output", str(tmp_path)]
    subprocess.run(command, check=True)
    with (tmp_path / "results/epochs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["level"] for row in rows} == {"reference", "he_normal", "batch_300", "as_tf1"}
    assert (tmp_path / "results/convergence.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "results/labels.csv").open(encoding="utf-8") as file:
        assert all(float(row["curves"]) == float(row["weights"]) == 0 for row in csv.DictReader(file))
    run_again(command, "results/tables.md", trials=4 * 2)
    filtered = "filter=tags.`jointdec.factors` LIKE '%initializer%'"
    compare = [sys.executable, "-m", "jointdec.compare", "tracking.experiment=convergence", "by=model.initializer"]
    said = subprocess.run([*compare, filtered], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "4 runs in 2 groups by model.initializer" in said
