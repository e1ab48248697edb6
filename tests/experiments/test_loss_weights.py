"""The loss weights experiment: its statistics against SciPy, and that a quick one runs, goes on, and writes."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

FOLDER = Path(__file__).parents[2] / "experiments" / "loss_weights"


@pytest.fixture(scope="module")
def tables(import_from):
    return import_from("loss_weights", "tables").tables


def rows_with(effect):
    rng = np.random.default_rng(0)
    noise = {seed: rng.normal(0.5, 0.05) for seed in range(5)}  # a seed's own level, which pairing takes out
    return [
        {"model": "m", "optimizer": "o", "rate": "1", "weight": str(weight), "alpha": "0.2", "seed": str(seed),
         "state": "complete", **dict.fromkeys(("val/exact", "val/node_accuracy", "val/edge_accuracy"),
                                              str(noise[seed] + effect * (weight == 20) + rng.normal(0, 1e-3)))}
        for weight in (2.0, 20.0) for seed in range(5)
    ]  # fmt: skip


def test_a_difference_is_the_paired_mean_with_students_interval(tables):
    rows = rows_with(effect=0.02)
    found = tables.difference(rows, ("m", "o"), 20.0, 0.2, "val/exact")
    at = {weight: [float(row["val/exact"]) for row in rows if row["weight"] == weight] for weight in ("2.0", "20.0")}
    paired = 100 * (np.array(at["20.0"]) - np.array(at["2.0"]))
    low, high = stats.t.interval(0.95, 4, loc=paired.mean(), scale=stats.sem(paired))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(stats.ttest_rel(at["20.0"], at["2.0"]).pvalue)


def test_an_effect_holds_and_none_does_not(tables):
    assert "| 3 of 3 |" in tables.verdicts(rows_with(effect=0.02))[2]
    assert "| 0 of 3 |" in tables.verdicts(rows_with(effect=0.0))[2]


def test_failed_trials_are_counted_and_take_their_pair_with_them(tables):
    rows = rows_with(effect=0.02)
    rows[0]["state"] = "fail"
    assert tables.difference(rows, ("m", "o"), 20.0, 0.2, "val/exact").n == 4
    assert tables.verdicts(rows)[2].endswith("| 1 of 10 |")


@pytest.mark.slow
def test_a_quick_one_runs_writes_its_files_and_has_nothing_left_to_do_the_second_time(tmp_path, run_again):
    command = [sys.executable, str(FOLDER / "loss_weights.py"), "--quick", "--output", str(tmp_path)]
    subprocess.run(command, check=True)
    with (tmp_path / "results/trials.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 2  # optimizers, weights, seeds
    assert (tmp_path / "results/weights.png").read_bytes().startswith(b"\x89PNG")
    run_again(command, "results/trials.csv", trials=2 * 2 + 2 * 3 * 2)  # rates and their seed; weights and seeds
