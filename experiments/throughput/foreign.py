"""How fast does jointdec.fit train models that are not its own, against fit, PyTorch and JAX?

python experiments/throughput/foreign.py            a quarter of an hour; leave the machine alone meanwhile
python experiments/throughput/foreign.py --quick    a minute or two, and numbers to match
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from command import HERE, parse_arguments, tell
from contenders import FOREIGN
from machine import machine
from processes import start_times
from rounds import demand_agreement, measure
from rows import Row, step_rows
from zoo.judged import verdicts
from zoo.problem import MODELS, Zoo
from zoo.table import BEGIN, COLUMNS, END, cells, markdown

from jointdec.reporting.experiment import write_section, write_table

SIDE_BY_SIDE = [name for name in FOREIGN if name != "streamed"]
TOLERANCE = 2e-3  # relative, of the first epoch's loss: float32, and PyTorch's epsilon, which weighs more at first
DROPOUT_TOLERANCE = 0.1  # every framework draws other random numbers


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        models: which.
        rows: of their data.
        rounds: timed epochs of each contender.
        starts: repetitions of whole processes.
        streaming: rows of the data that are streamed, by model.
    """

    models: tuple[str, ...]
    rows: int
    rounds: int
    starts: int
    streaming: Mapping[str, int]


FULL = Plan(tuple(MODELS), rows=5000, rounds=5, starts=1, streaming={"mlp": 500_000, "cnn": 10_000})
QUICK = Plan(("mlp",), rows=500, rounds=2, starts=1, streaming={"mlp": 5_000})


def main() -> None:
    """Measure, write, judge."""
    asked = parse_arguments(__doc__)
    plan = QUICK if asked.quick else FULL
    rows = steps(plan) + starts(plan) + streaming(plan)
    text = markdown(rows, verdicts(rows), machine())
    write_table([cells(row) for row in rows], asked.results / "foreign.csv", COLUMNS)
    (asked.results / "foreign.md").write_text(text, encoding="utf-8")
    if not asked.quick:
        write_section(text.rstrip("\n"), HERE / "README.md", BEGIN, END)
    print(text)
    tell(f"written to {asked.results}")


def steps(plan: Plan) -> list[Row]:
    """All contenders on every model."""
    rows: list[Row] = []
    for model in plan.models:
        tell(f"{model}: {plan.rounds} rounds, {len(SIDE_BY_SIDE)} contenders")
        problem = Zoo(model, plan.rows)
        measured = measure({name: (name, problem) for name in SIDE_BY_SIDE}, plan.rounds)
        demand_agreement(measured, SIDE_BY_SIDE, DROPOUT_TOLERANCE if model == "mlp_dropout" else TOLERANCE)
        rows += step_rows(measured, "jointdec", question="steps", model=model, size=plan.rows)
    return rows


def starts(plan: Plan) -> list[Row]:
    """Seconds from a process's start to the end of its first epoch, jointdec.fit and fit in turn."""
    tell("first epochs")
    commands = {(name, model): ["first_epoch.py", name, model] for model in plan.models for name in ("jointdec", "fit")}
    return [
        Row("start", name, "s", seconds, model=model, size=Zoo(model).rows)
        for (name, model), seconds in start_times(commands, plan.starts).items()
    ]


def streaming(plan: Plan) -> list[Row]:
    """jointdec.fit on data that it may hold, and on the same data in files, of which it may hold a quarter."""
    rows: list[Row] = []
    for model, size in plan.streaming.items():
        tell(f"{model}: streaming {size:,} rows")
        problem = Zoo(model, size)
        measured = measure({name: (name, problem) for name in ("jointdec", "streamed")}, plan.rounds)
        demand_agreement(measured, measured, TOLERANCE)
        rows += step_rows(measured, "jointdec", question="streaming", model=model, size=size)
    return rows


if __name__ == "__main__":
    main()
