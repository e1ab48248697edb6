"""What do the three networks decode and generate? Trained to the same budget on all of QM9, 5 seeds each.

python experiments/generation/generation.py               all of QM9, a quarter of an hour on 2 cores, resumable
python experiments/generation/generation.py quick=true      the sample, 2 seeds: whether it works

Every trial is a run of jointdec.sweep in MLflow's experiment "generation"; its 10,000 molecules are drawn at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from page import write

from jointdec.problems.molecules.generation import SHARES
from jointdec.reporting.experiment import parse_arguments, write_table
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
    quick, folder = parse_arguments(__doc__, HERE)
    plan = QUICK if quick else FULL
    metrics = (*RECONSTRUCTED, *(f"generate/{name}" for name in SHARES))
    fixed = [f"data={plan.data}", *FIXED, f"training.epochs={plan.epochs}"]
    rows = run_grid(
        folder, "generation", fixed, {"model": MODELS, "seed": plan.seeds}, workers=plan.workers, objective=metrics
    )
    kept = ("model", "seed", "state", *metrics, "run_id")
    write_table(rows, folder / "results/trials.csv", kept)
    write(rows, folder)


if __name__ == "__main__":
    main()
