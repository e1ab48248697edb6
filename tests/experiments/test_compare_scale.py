"""The experiment on the number of runs: that a quick one runs to its end."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "compare_scale" / "compare_scale.py"


@pytest.mark.slow
def test_a_quick_measurement_has_time_and_memory_of_every_size_and_leaves_the_readme_alone(tmp_path):
    readme = (SCRIPT.parent / "README.md").read_bytes()
    subprocess.run([sys.executable, str(SCRIPT), "--quick", "--output", str(tmp_path)], check=True)
    with (tmp_path / "results/scale.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["runs"] for row in rows] == ["10", "30"]
    assert all(float(row["seconds"]) > 0 and float(row["peak_mib"]) > 100 for row in rows)
    assert (SCRIPT.parent / "README.md").read_bytes() == readme
