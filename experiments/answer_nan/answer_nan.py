"""The answer's NaN: on which share of seeds, when, by which operation, and what alpha and the learning rate do to it.

python experiments/answer_nan/answer_nan.py               all of QM9, 40 minutes on 2 cores, resumable
python experiments/answer_nan/answer_nan.py quick=true      the sample, 2 seeds: whether it works

Every trial is a run of jointdec.sweep in MLflow's experiment "answer_nan", a NaN with its forensic report.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from page import write
from watch import Row, watch

from jointdec.problems.molecules.sizes import METRICS
from jointdec.reporting.experiment import kept_table, parse_arguments, write_table
from jointdec.sweeping.grid import FOLDER, run_grid

HERE = Path(__file__).parent
FIXED = (
    *("loss=answer", "data.scattering=spectral", "data.normalization=spherise", "optimizer.epsilon=1e-7"),
    *("training.batch_size=50", "tracking.experiment=answer_nan"),
)
FACTS = ("step", "tensor", "cause", "where")


@dataclass(frozen=True)
class Plan:
    """What is laid out."""

    data: str
    alphas: Sequence[float]
    rates: Sequence[float]
    seeds: tuple[int, ...]
    long_seeds: tuple[int, ...]
    epochs: int
    long_epochs: int
    watched_steps: int
    every: int
    workers: int


FULL = Plan(
    data="qm9",
    alphas=(0.0, 0.01, 0.1, 0.2, 0.3),
    rates=(1e-4, 1e-3, 1e-2, 1e-1),
    seeds=(0, 1, 2, 3, 4),
    long_seeds=tuple(range(10)),
    epochs=1,
    long_epochs=10,
    watched_steps=2000,
    every=200,
    workers=2,
)
QUICK = Plan(
    data="molecules",
    alphas=(0.0, 0.2),
    rates=(1e-3, 1e-1),
    seeds=(0, 1),
    long_seeds=(0, 1),
    epochs=1,
    long_epochs=2,
    watched_steps=40,
    every=20,
    workers=1,
)


def main() -> None:
    """Train what is not trained yet, and write."""
    quick, folder = parse_arguments(__doc__, HERE)
    plan = QUICK if quick else FULL
    fixed = [f"data={plan.data}", *FIXED]

    grid = {"model.alpha": plan.alphas, "optimizer.learning_rate": plan.rates, "seed": plan.seeds}
    trials = train(folder, plan, "answer_nan-grid", [*fixed, f"training.epochs={plan.epochs}"], grid)
    as_given = {"model.alpha": [0.2], "optimizer.learning_rate": [1e-3], "seed": plan.long_seeds}
    trials += train(folder, plan, "answer_nan-long", [*fixed, f"training.epochs={plan.long_epochs}"], as_given)
    write_table(trials, folder / "results/trials.csv")

    def look() -> list[Row]:
        alphas = [alpha for alpha in plan.alphas if alpha > 0]
        each = (watch([*fixed, f"model.alpha={a}"], plan.seeds, plan.every, plan.watched_steps) for a in alphas)
        return [row for rows in each for row in rows]

    watched = kept_table(folder / "results/watched.csv", look)
    write(trials, [{key: float(value) for key, value in row.items()} for row in watched], folder)


def train(
    folder: Path, plan: Plan, name: str, fixed: Sequence[str], grid: dict[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    """A row a trial: where it went NaN, by which tensor, why; accuracy and losses at its end."""
    rows = []
    for row in run_grid(folder, name, fixed, grid, workers=plan.workers, objective=METRICS):
        place = Path(row[FOLDER])
        summary = json.loads((place / "summary.json").read_text())
        curves = np.load(place / "curves.npz")
        found = summary.get("divergence", {})
        if row["state"] == "fail" and not found:  # trained to its end, and NaN in the validation
            found = {"step": summary["steps"], "tensor": "validation", "cause": row["cause"]}
        finite = curves["step/nodes"][np.isfinite(curves["step/nodes"])]
        rows.append(
            {
                "study": name.partition("-")[2],
                "alpha": float(row["model.alpha"]),
                "rate": float(row["optimizer.learning_rate"]),
                "seed": int(row["seed"]),
                "outcome": summary["outcome"],
                "steps": summary["steps"],
                "run_id": row["run_id"],
                "atoms_right": summary["last"].get("val/node_accuracy"),
                "pairs_right": summary["last"].get("val/edge_accuracy"),
                "first_loss": finite[0] if len(finite) else None,
                "last_loss": float(np.median(finite[-100:])) if len(finite) else None,
                **{f"nan_{fact}": found.get(fact) for fact in FACTS},
            }
        )
    return rows


if __name__ == "__main__":
    main()
