"""The throughput experiment: its numbers mean something only while all contenders compute the same."""

import csv
import math
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "throughput" / "throughput.py"
INSTALLED = ["compiled", "bare", "loop", "keras", "keras_xla", "tf1"]
INSTALLED += ["jax_step", "jax_scan"] if find_spec("jax") else []
INSTALLED += ["torch"] if find_spec("torch") else []


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    subprocess.run([sys.executable, str(SCRIPT), "--quick", "--results", str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def rows(results):
    with (results / "table.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_contenders_that_start_alike_and_see_the_same_batches_have_the_same_loss(rows):
    steps = [row for row in rows if row["question"] == "steps"]  # the others train on other molecules
    losses = {row["name"]: float(row["first_epoch_loss"]) for row in steps if row["first_epoch_loss"]}
    assert set(losses) >= set(INSTALLED)
    # at the start the logits are small: near the losses of an even guess, ln 5 for atoms and 36/81 ln 4 for bonds
    assert math.log(5) + 2 * 36 / 81 * math.log(4) > losses["compiled"] > 0
    assert losses == pytest.approx(dict.fromkeys(losses, losses["compiled"]), rel=2e-3)


@pytest.mark.slow
def test_every_contender_has_a_time_or_the_reason_why_there_is_none(rows):
    for row in rows:
        assert row["missing"] or float(row["lowest"]) <= float(row["median"]) <= float(row["highest"])
        assert row["missing"] or float(row["median"]) > 0
    assert {row["question"] for row in rows} == {"steps", "growth", "start", "memory"}


@pytest.mark.slow
def test_a_quick_measurement_writes_its_tables_and_figures_and_leaves_the_readme_alone(results):
    names = {"table.csv", "table.md", "machine.json", "steps.png", "growth.png"}
    assert {path.name for path in results.iterdir()} == names
    readme = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
    assert (results / "table.md").read_text(encoding="utf-8") not in readme
