"""What do the three networks decode and generate? Trained to the same budget on all of QM9, 5 seeds each.

python experiments/generation/generation.py               all of QM9, a quarter of an hour on 2 cores, resumable
python experiments/generation/generation.py quick=true      the sample, 2 seeds: whether it works

Every trial is a run of jointdec.sweep in MLflow's experiment "generation"; its 10,000 molecules are drawn at its end.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from page import write

from jointdec.metrics.generation import SHARES
from jointdec.sweeping.grid import run_grid

HERE = Path(__file__).parent
MODELS = ("two_tower", "scat", "shared_trunk")
FIXED = (
    *("data.scattering=diffusion", "data.normalization=spherise", "loss=split", "training.batch_size=50"),
    "tracking.experiment=generation",
)
RECONSTRUCTED = ("val/node_accuracy", "val/edge_accuracy", "val/exact", "val/nodes", "val/edges")


@dataclass(frozen=True)
class Plan:
    """What is laid out."""

    data: str
    epochs: int
    seeds: Sequence[int]
    workers: int


FULL = Plan("qm9", 8, (0, 1, 2, 3, 4), 2)
QUICK = Plan("molecules", 2, (0, 1), 1)


def main() -> None:
    """Train what is not trained yet, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quick", nargs="?", choices=["quick=true"], help="few and short trials")
    parser.add_argument(
        "--output", type=Path, help="folder of the studies and results; by default here, or quick/ here"
    )
    given = parser.parse_args()
    plan, usual = (QUICK, HERE / "quick") if given.quick else (FULL, HERE)
    folder = (given.output or usual).absolute()
    (folder / "results").mkdir(parents=True, exist_ok=True)
    metrics = (*RECONSTRUCTED, *(f"generate/{name}" for name in SHARES))
    fixed = [f"data={plan.data}", *FIXED, f"training.epochs={plan.epochs}"]
    rows = run_grid(
        folder, "generation", fixed, {"model": MODELS, "seed": plan.seeds}, workers=plan.workers, objective=metrics
    )
    kept = ("model", "seed", "state", *metrics, "run_id")
    with (folder / "results/trials.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, kept, lineterminator="\n", extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    write(rows, folder)


if __name__ == "__main__":
    main()
