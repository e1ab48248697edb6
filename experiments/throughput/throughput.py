"""How fast is a training step, against everybody else's, and what does a run cost around it?

python experiments/throughput/throughput.py            everything; leave the machine alone meanwhile
python experiments/throughput/throughput.py --quick    a minute or two, and numbers to match
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from aims import verdicts
from command import HERE, parse_arguments, tell
from contenders import CONTENDERS
from figures import draw
from machine import machine
from problem import Problem, compose_config, repeated
from processes import memory_rows, start_rows
from report import BEGIN, END, markdown
from rounds import demand_agreement, measure
from rows import Row, step_rows, write_csv

from jointdec.dataset import Split
from jointdec.problems.molecules.load import load
from jointdec.reporting.experiment import write_section

TOLERANCE = 2e-3  # relative, of the first epoch's loss: float32, and PyTorch's epsilon, which weighs more at first


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        steps: of an epoch, by batch size.
        growth: molecules, by batch size.
        rounds: timed epochs of each contender.
        starts, peaks: repetitions of whole processes.
        molecules: what memory is measured on; None for QM9.
    """

    steps: Mapping[int, int]
    growth: Mapping[int, tuple[int, ...]]
    rounds: int
    starts: int
    peaks: int
    molecules: int | None


SIZES = (4_000, 20_000, 100_000)
FULL = Plan({50: 400, 300: 100, 2048: 20}, {50: SIZES, 300: SIZES}, rounds=9, starts=5, peaks=3, molecules=None)
QUICK = Plan({50: 20}, {50: (1_000, 2_000)}, rounds=2, starts=1, peaks=1, molecules=2_000)


def main() -> None:
    """Measure, write, draw, judge."""
    quick, results = parse_arguments(__doc__)
    plan = QUICK if quick else FULL
    config = compose_config()
    sample = load(config.data).train
    rows = steps(plan, sample) + growth(plan, sample)
    tell("start-up")
    rows += start_rows(plan.starts)
    tell("memory")
    rows += memory_rows(plan.peaks, plan.molecules)

    here = machine()
    text = markdown(rows, verdicts(rows, config.model, list(plan.steps)), here, config.model)
    (results / "table.md").write_text(text, encoding="utf-8")
    (results / "machine.json").write_text(json.dumps(here, indent=2) + "\n", encoding="utf-8")
    write_csv(rows, results / "table.csv")
    draw(rows, config.model, results)
    if not quick:
        write_section(text.rstrip("\n"), HERE / "README.md", BEGIN, END)
    print(text)
    tell(f"written to {results}")


def steps(plan: Plan, sample: Split) -> list[Row]:
    """All contenders on the same batches."""
    rows: list[Row] = []
    for batch, count in plan.steps.items():
        tell(f"batch {batch}: {count} steps an epoch, {plan.rounds} rounds, {len(CONTENDERS)} contenders")
        problem = Problem(repeated(sample, batch * count), batch)
        measured = measure({name: (name, problem) for name in CONTENDERS}, plan.rounds)
        demand_agreement(measured, [name for name in CONTENDERS if name != "matmul"], TOLERANCE)
        rows += step_rows(measured, "compiled", question="steps", batch=batch, molecules=len(problem.molecules))
    return rows


def growth(plan: Plan, sample: Split) -> list[Row]:
    """The compiled program on more and more molecules."""
    rows: list[Row] = []
    for batch, sizes in plan.growth.items():
        tell(f"batch {batch}: data sets of {sizes}")
        problems = {f"{size}": ("compiled", Problem(repeated(sample, size), batch)) for size in sizes}
        for size, rounds in zip(sizes, measure(problems, plan.rounds).values(), strict=True):
            rows += step_rows({"compiled": rounds}, "compiled", question="growth", batch=batch, molecules=size)
    return rows


if __name__ == "__main__":
    main()
