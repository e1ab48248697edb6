"""Why did TensorFlow look faster? Each difference between the source's two programs, alone and together, 5 seeds.

python experiments/convergence/convergence.py               all of QM9, an hour and a quarter on 2 cores, resumable
python experiments/convergence/convergence.py quick=true --output FOLDER    5 levels, the sample, 2 seeds: does it work

Every level is a study of python -m jointdec.sweep, every trial a run in MLflow's experiment "convergence".
"""

from __future__ import annotations

import argparse
from contextlib import chdir
from pathlib import Path

from levels import DATA, FULL, QUICK, REFERENCE, REFERENCE_CONFIG, Level, Plan

from jointdec.sweeping.grid import run_grid
from jointdec.tracking.store import connect
from jointdec.tracking.uri import resolve_uri

HERE = Path(__file__).parent
TAG = "jointdec.factors"  # the factors in whose comparison a run takes part


def main() -> None:
    """Train what is not trained yet, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quick", nargs="?", choices=["quick=true"], help="few and short trials")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the studies, README.md and results/")
    given = parser.parse_args()
    plan, folder = QUICK if given.quick else FULL, given.output
    folder.mkdir(parents=True, exist_ok=True)
    trials = {level.name: train(folder, plan, level) for level in plan.levels}
    print({name: len(rows) for name, rows in trials.items()})


def train(folder: Path, plan: Plan, level: Level) -> list[dict[str, str]]:
    """The trials of a level, a seed each; tagged, so that jointdec.compare can pick a factor's."""
    fixed = [f"data={plan.data}", *DATA, *REFERENCE_CONFIG, *level.overrides, f"training.epochs={level.epochs}"]
    fixed += ["tracking.experiment=convergence"]
    rows = run_grid(folder, f"convergence-{level.name}", fixed, {"seed": plan.seeds}, workers=2)
    with chdir(folder):
        client = connect(resolve_uri(None))
    factors = {one.factor for one in plan.levels} if level == REFERENCE else {level.factor}
    for row in rows:
        client.set_tag(row["run_id"], TAG, ", ".join(sorted(factors)))
    return rows


if __name__ == "__main__":
    main()
