"""Why did TensorFlow look faster? Each difference between the source's two programs, alone and together, 5 seeds.

python experiments/convergence/convergence.py               all of QM9, an hour and a quarter on 2 cores, resumable
python experiments/convergence/convergence.py quick=true    4 levels, the sample, 2 seeds: does it work

Every level is a study of python -m jointdec.sweep, every trial a run in MLflow's experiment "convergence".
"""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import speed
from curves import Curve, read, save
from figure import draw
from labels import compare
from levels import FULL, QUICK, REFERENCE, Level, Plan, overrides_of
from page import text

from jointdec.problems.molecules.sizes import METRICS
from jointdec.reporting.experiment import kept_table, parse_arguments, write_section
from jointdec.sweeping.grid import FOLDER, run_grid
from jointdec.tracking.store import connect
from jointdec.tracking.uri import resolve_uri

HERE = Path(__file__).parent
BEGIN, END = "<!-- results: written by convergence.py -->", "<!-- end of results -->"
TAG = "jointdec.factors"  # the factors in whose comparison a run takes part


def main() -> None:
    """Train what is not trained yet, and write."""
    quick, folder = parse_arguments(__doc__, HERE)
    plan = QUICK if quick else FULL
    results = folder / "results"
    runs = {level.name: train(folder, plan, level) for level in plan.levels}
    save([curve for curves in runs.values() for curve in curves], results)
    times = kept_table(results / "speed.csv", lambda: time_steps(plan))
    ratios = speed.ratios({name: [float(row[name]) for row in times] for name in times[0]})
    labels = kept_table(results / "labels.csv", lambda: compare(plan))
    levels = [level for level in plan.levels if runs[level.name]]
    draw(runs, levels, ratios, results / "convergence.png")
    tables = text(runs, levels, ratios, labels)
    (results / "tables.md").write_text(tables + "\n", encoding="utf-8")
    print(tables)
    write_section(tables, folder / "README.md", BEGIN, END)


def train(folder: Path, plan: Plan, level: Level) -> list[Curve]:
    """The curves of a level, one for each seed that did not diverge.

    The runs are tagged, so that jointdec.compare can pick those of a factor.
    """
    fixed = [*overrides_of(plan, level), "tracking.experiment=convergence"]
    rows = run_grid(
        folder, f"convergence-{level.name}", fixed, {"seed": plan.seeds}, workers=plan.workers, objective=METRICS
    )
    with chdir(folder):
        client = connect(resolve_uri(None))
    factors = {one.factor for one in plan.levels} if level == REFERENCE else {level.factor}
    for row in rows:
        client.set_tag(row["run_id"], TAG, ", ".join(sorted(factors)))
    return [read(level.name, int(row["seed"]), Path(row[FOLDER])) for row in rows if row["state"] == "complete"]


def time_steps(plan: Plan) -> list[dict[str, float]]:
    """A row a round: level -> ms a step."""
    measured = speed.measure(plan)
    return [{name: round(times[number], 4) for name, times in measured.items()} for number in range(plan.rounds)]


if __name__ == "__main__":
    main()
