"""The study of the answer's NaN: what it sees in the atoms' head against the formulas, and that a quick one runs."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jointdec.objective.formulation import make_formulation

FOLDER = Path(__file__).parents[2] / "experiments" / "answer_nan"
CLIP = 1e-7


@pytest.fixture(scope="module")
def study(import_from):
    return import_from("answer_nan", "page", "watch")


def test_an_atom_has_no_gradient_where_the_share_of_its_true_class_is_clipped(study, make_config, make_dataset):
    split = make_dataset(200).train
    formulation = make_formulation(make_config("loss=answer", "seed=3"))
    seen = study.watch.look(formulation, split)
    outputs = formulation.logits(split.x)["nodes_logits"].astype(np.float64)
    share = np.take_along_axis(outputs / outputs.sum(-1, keepdims=True), split.y["nodes"][..., None].astype(int), -1)[
        ..., 0
    ]
    clipped, right = (share < CLIP) | (share > 1 - CLIP), outputs.argmax(-1) == split.y["nodes"]
    assert 0.2 < clipped.mean() < 0.8  # so that it says something
    assert seen["right"] == pytest.approx(right.mean())
    assert seen["no_gradient_wrong"] == pytest.approx((clipped & ~right).mean(), abs=2 / right.size)
    assert seen["no_gradient_right"] == pytest.approx((clipped & right).mean(), abs=2 / right.size)


def test_with_the_right_loss_every_atom_has_a_gradient(study, make_config, make_dataset):
    seen = study.watch.look(make_formulation(make_config("loss=split")), make_dataset(50).train)
    assert seen["no_gradient_wrong"] == seen["no_gradient_right"] == 0


def trial(study="grid", *, alpha=0.2, rate=1e-3, seed=0, right=0.5, nan_step=None):
    return {
        **{"study": study, "alpha": alpha, "rate": rate, "seed": seed, "steps": 100, "atoms_right": right},
        **{"nan_step": nan_step, "nan_tensor": nan_step and "nodes_probabilities", "nan_cause": "cause"},
    }


def test_the_tables_count_seeds_that_went_nan_and_average_the_others(study):
    grid = [trial(seed=0, right=0.4), trial(seed=1, right=0.6), trial(seed=2, nan_step=7), trial(seed=3, nan_step=90)]
    assert study.page.grid_table(grid)[-1] == (
        "| 0.2 | **2 of 4**, step 7 to 90, nodes_probabilities; 50 % right (40 to 60) |"
    )
    long = study.page.long_lines([trial("long", seed=seed, nan_step=5 if seed == 0 else None) for seed in range(10)])
    assert (
        "1 of 10 seeds reach NaN in 100 steps (95 % interval of the share: 0% to 45%" in long[0]
    )  # R: binom.test(1, 10)
    assert long[1] == "- seed 0: step 5, nodes_probabilities, cause"


@pytest.mark.slow
def test_a_quick_one_runs_writes_its_files_and_finds_the_nan_of_alpha_0(tmp_path):
    subprocess.run([sys.executable, str(FOLDER / "answer_nan.py"), "quick=true", "--output", str(tmp_path)], check=True)
    with (tmp_path / "results/trials.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 2 + 2  # alphas, rates, seeds; and the answer as it was given
    dead = {(row["nan_step"], row["nan_tensor"]) for row in rows if float(row["alpha"]) == 0}
    assert dead == {("0", "nodes_probabilities")}
    assert (tmp_path / "results/answer_nan.png").read_bytes().startswith(b"\x89PNG")
    assert "**2 of 2**, step 0, nodes_probabilities" in (tmp_path / "results/tables.md").read_text(encoding="utf-8")
