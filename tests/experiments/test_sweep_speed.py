"""The sweep speed experiment: that a quick one runs to its end, with the usual stack beside jointdec."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "sweep_speed" / "sweep_speed.py"


@pytest.mark.slow
def test_a_quick_measurement_has_a_time_for_every_contender_and_leaves_the_readme_alone(tmp_path):
    readme = (SCRIPT.parent / "README.md").read_bytes()
    subprocess.run([sys.executable, str(SCRIPT), "--quick", "--output", str(tmp_path)], check=True)
    with (tmp_path / "results/speed.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["contender"] for row in rows}) == 4
    assert all(float(row["seconds_a_trial"]) > 0 for row in rows)
    with (tmp_path / "results/growth.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) > 10
    assert (SCRIPT.parent / "README.md").read_bytes() == readme
