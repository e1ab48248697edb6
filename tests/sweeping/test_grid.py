"""A grid from Python: what it runs, what it gives back, and that a refusal ends it with the sweep's own code."""

import csv
from pathlib import Path

import pytest

from jointdec.sweeping.grid import FOLDER, run_grid

FIXED = ["data.path=molecules.smi", "model.tower=[8]", "training.epochs=1", "training.batch_size=4", "tracking=none"]


def test_a_grid_that_cannot_be_trained_ends_with_the_sweeps_exit_code(folder, capfd):
    with pytest.raises(SystemExit) as caught:
        run_grid(folder, "wrong", FIXED, {"model.alpha": [-1]}, workers=1, objective=["val/exact"])
    assert caught.value.code == 2
    assert "model.alpha is -1" in capfd.readouterr().err
    assert not (folder / "sweeps").exists()


@pytest.mark.slow
def test_a_grid_gives_a_row_for_each_point_with_the_folder_of_its_curves_and_diverged_ones_are_among_them(folder):
    grid = {"optimizer.learning_rate": [1e-3, 1e30], "seed": [0, 1]}
    rows = run_grid(folder, "points", FIXED, grid, workers=1, objective=["val/exact"])
    found = {(float(row["optimizer.learning_rate"]), row["seed"]): row["state"] for row in rows}
    assert found == {(1e-3, "0"): "complete", (1e-3, "1"): "complete", (1e30, "0"): "fail", (1e30, "1"): "fail"}
    assert all((Path(row[FOLDER]) / "curves.npz").is_file() for row in rows)
    with (folder / "sweeps/points/trials.csv").open(encoding="utf-8") as file:
        assert [dict(row, folder=ours[FOLDER]) for row, ours in zip(csv.DictReader(file), rows, strict=True)] == rows
    again = run_grid(folder, "points", FIXED, grid, workers=1, objective=["val/exact"])
    assert again == rows
