"""The theorem that the formulations agree, and the one place where a kernel's gradient is not the loss's."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "parity" / "parity.py"
SAME = {"split", "zero_plus_total", "tf_native", "tf1_graph", "split under fit"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    subprocess.run([sys.executable, str(SCRIPT), "--quick", "--results", str(folder)], check=True)
    assert (folder / "parity.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "table.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def apart(rows, case, contender):
    return [float(row["relative"]) for row in rows if (row["case"], row["contender"]) == (case, contender)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", ["molecules, float64", "gaussian labels, float64", "gaussian labels, float64, op determinism"]
)
def test_in_float64_all_formulations_take_the_same_path(rows, case):
    for contender in SAME:
        assert len(apart(rows, case, contender)) == 8
        assert max(apart(rows, case, contender)) < 1e-9, contender


@pytest.mark.slow
def test_where_labels_are_no_distributions_the_fused_kernel_leaves_the_true_gradient_unless_ops_are_deterministic(rows):
    assert min(apart(rows, "gaussian labels, float64", "true gradient")) > 1e-3
    assert max(apart(rows, "gaussian labels, float64, op determinism", "true gradient")) < 1e-9
