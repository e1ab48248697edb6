"""The generation study: its definitions by hand, and that a quick one runs, goes on, and writes."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "generation"


@pytest.fixture(scope="module")
def page(import_from):
    return import_from("generation", "page").page


def row(model="two_tower", seed=0, **changes):
    shares = {"validity": 0.5, "uniqueness": 0.8, "novelty": 0.9, "connected": 0.6, "connected_validity": 0.4} | changes
    right = {"val/node_accuracy": "0.9", "val/edge_accuracy": "0.95", "val/exact": "0.2"}
    generated = {f"generate/{name}": str(share) for name, share in shares.items()}
    return {"model": model, "seed": str(seed), "state": "complete", **right, **generated}


def test_the_definitions_of_the_papers_follow_from_the_shares(page):
    # of 1,000 draws 500 are valid, 400 of them distinct, 360 of these unknown; for SCAT 100 repetitions are novel, too
    found = page.measures(row())
    assert found["V x U"] == pytest.approx(100 * 400 / 1000)
    assert found["V x U x N"] == pytest.approx(100 * 360 / 1000)
    assert found["SCAT's novelty"] == pytest.approx(100 * (360 + 100) / 500)
    assert (found["V"], found["SCAT's V"]) == (50, 40)


def test_differences_are_paired_and_marked_where_they_hold(page):
    trials = {"two_tower": [], "scat": []}
    for seed in range(5):
        trials["two_tower"].append(page.measures(row(seed=seed, validity=0.5 + 0.01 * seed)))
        trials["scat"].append(page.measures(row("scat", seed, validity=0.6 + 0.01 * seed + 1e-4 * (seed % 2))))
    lines = {line.split(" | ")[0].strip("| "): line for line in page.differences(trials)}
    assert lines["V"].startswith("| V | **+10.00")
    assert lines["uniqueness"] == "| uniqueness | +0.00 (+0.00 to +0.00) |"


@pytest.mark.slow
def test_a_quick_one_runs_writes_its_files_and_has_nothing_left_to_do_the_second_time(tmp_path, run_again):
    command = [sys.executable, str(FOLDER / "generation.py"), "quick=true", "--output", str(tmp_path)]
    subprocess.run(command, check=True)
    with (tmp_path / "results/trials.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["model"], r["seed"]) for r in rows] == [
        (m, s) for m in ("two_tower", "scat", "shared_trunk") for s in "01"
    ]
    run_again(command, "results/tables.md", trials=3 * 2)
