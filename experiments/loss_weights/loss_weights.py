"""Do the loss weights matter? Weights x alpha, two networks, two optimizers, 5 seeds. An hour on 2 cores, resumable.

python experiments/loss_weights/loss_weights.py            writes results/, the figure and the README's tables
python experiments/loss_weights/loss_weights.py --quick    a few short trials into another folder: whether it works

Every trial is one of jointdec.sweep's, in the studies rates-… and weights-… . First each network with each optimizer
gets the same budget for its rate: 5 rates, 3 seeds that are not used again, at the weights 1 and 2. Then the weight of
the bonds' loss and alpha are laid out in a grid, the atoms' weight being 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from figure import draw
from tables import front_table, verdicts, weight_table

from jointdec.problems.molecules.sizes import METRICS
from jointdec.reporting.experiment import write_section, write_table
from jointdec.sweeping.grid import run_grid

HERE = Path(__file__).parent
BEGIN, END = "<!-- results: written by loss_weights.py -->", "<!-- end of results -->"
MODELS = ("two_tower", "shared_trunk")
RATES = {"adam": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2), "sgd": (0.03, 0.1, 0.3, 1.0, 3.0)}
WEIGHTS = (0.1, 0.3, 1.0, 2.0, 5.0, 20.0, 100.0)
ALPHAS = (0.05, 0.2, 0.4)
SEEDS, RATE_SEEDS = (0, 1, 2, 3, 4), (100, 101, 102)


@dataclass(frozen=True)
class Plan:
    """What is laid out."""

    models: Sequence[str]
    epochs: int
    rates: int
    rate_seeds: Sequence[int]
    weights: Sequence[float]
    alphas: Sequence[float]
    seeds: Sequence[int]
    workers: int


FULL = Plan(MODELS, 20, 5, RATE_SEEDS, WEIGHTS, ALPHAS, SEEDS, 2)
QUICK = Plan(MODELS[:1], 1, 2, RATE_SEEDS[:1], (0.1, 2.0, 100.0), (0.2,), SEEDS[:2], 1)


def main() -> None:
    """Train what is not trained yet, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and short trials")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the studies, README.md and results/")
    given = parser.parse_args()
    plan, folder = QUICK if given.quick else FULL, given.output
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for model in plan.models:
        for optimizer in RATES:
            rate = best_rate(folder, plan, model, optimizer)
            rows += weigh(folder, plan, model, optimizer, rate)
    results = folder / "results"
    results.mkdir(exist_ok=True)
    write_table(rows, results / "trials.csv")
    draw(rows, results / "weights.png")
    text = "\n".join([*verdicts(rows), "", *weight_table(rows), "", *front_table(rows)])
    (results / "tables.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    write_section(text, folder / "README.md", BEGIN, END)


def best_rate(folder: Path, plan: Plan, model: str, optimizer: str) -> float:
    """The rate with the best mean share of exact molecules over the seeds; a diverged trial counts as 0."""
    rates = RATES[optimizer][: plan.rates]
    grid = {"optimizer.learning_rate": rates, "seed": plan.rate_seeds}
    trials = sweep(folder, plan, f"rates-{model}-{optimizer}", [f"model={model}", f"optimizer={optimizer}"], grid)
    exact = {
        rate: np.mean([float(row["val/exact"] or 0) for row in trials if float(row["optimizer.learning_rate"]) == rate])
        for rate in rates
    }
    return max(exact, key=exact.__getitem__)


def weigh(folder: Path, plan: Plan, model: str, optimizer: str, rate: float) -> list[dict[str, str]]:
    """Every weight with every alpha and every seed."""
    fixed = [f"model={model}", f"optimizer={optimizer}", f"optimizer.learning_rate={rate}"]
    grid = {"loss.weights.edges": plan.weights, "model.alpha": plan.alphas, "seed": plan.seeds}
    trials = sweep(folder, plan, f"weights-{model}-{optimizer}", fixed, grid)
    names = {"loss.weights.edges": "weight", "model.alpha": "alpha", "seed": "seed", "state": "state"}
    names |= {name: name for name in METRICS} | {"cause": "cause"}
    about = {"model": model, "optimizer": optimizer, "rate": str(rate)}
    return [about | {ours: row[theirs] for theirs, ours in names.items()} for row in trials]


def sweep(
    folder: Path, plan: Plan, name: str, fixed: Sequence[str], grid: dict[str, Sequence[float]]
) -> list[dict[str, str]]:
    """Run a grid, or what is left of it; its trials as rows."""
    return run_grid(
        folder,
        name,
        ["loss=split", *fixed, f"training.epochs={plan.epochs}"],
        grid,
        workers=plan.workers,
        objective=METRICS,
    )


if __name__ == "__main__":
    main()
