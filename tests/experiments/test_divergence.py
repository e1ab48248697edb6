"""The catalogue of divergences, a few of its cases, as a user runs it."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "divergence"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_known_faults_are_found_at_their_step_with_their_tensor_and_cause_and_replay(tmp_path):
    command = [sys.executable, str(EXPERIMENT / "divergence.py"), "--quick", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / "results" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    cases = {row["case"]: row for row in rows if row["observer"] == "known"}
    assert len(cases) == 4
    for row in rows:
        if row["observer"].startswith("jointdec"):
            known = cases[row["case"]]
            assert [row[key] for key in ("step", "tensor", "cause")] == [
                known[key] for key in ("step", "tensor", "cause")
            ]
            assert row["replayed"] == "True"
    said = {(row["case"], row["observer"]): row for row in rows}
    assert said["NaN in a feature", "TerminateOnNaN"]["step"] == "7"
    assert said["NaN in a feature", "check_numerics"]["tensor"].startswith("op ")
    with (tmp_path / "results" / "costs.csv").open() as file:
        costs = list(csv.DictReader(file))
    assert all(float(cost["with_it"]) > 0 for cost in costs)
    page = (tmp_path / "README.md").read_text()
    assert "**miss**" not in page
