"""Puts NaN and Inf into training in known places, and holds what is reported against what is known.

python experiments/divergence/divergence.py                           all cases, tools and costs: a quarter of an hour
python experiments/divergence/divergence.py --quick --output FOLDER   four cases, in another folder

Needs the extra bench for PyTorch; without it that column is empty.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import csv
import dataclasses
import sys
from pathlib import Path

from cases import CASES, Case
from costs import Cost, measure
from observe import Seen, observe
from page import write_page
from peers import Said, anomaly_mode, check_numerics, terminate_on_nan

HERE = Path(__file__).parent
LOOPS = ("compiled", "fit")
QUICK = ("NaN in a feature", "the answer with alpha 0", "NaN in Adam's second moment", "a NaN weight")
TOOLS = {"TerminateOnNaN": terminate_on_nan, "check_numerics": check_numerics, "anomaly mode": anomaly_mode}


@dataclasses.dataclass(frozen=True)
class Row:
    """A case, what jointdec saw in each loop, and what each tool said."""

    case: Case
    seen: dict[str, Seen]
    said: dict[str, Said | None]


def main() -> None:
    """Run, write, draw the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="four cases, and three rounds of the costs")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of README.md and results/")
    arguments = parser.parse_args()
    results: Path = arguments.output / "results"
    results.mkdir(parents=True, exist_ok=True)
    cases = [case for case in CASES if case.name in QUICK] if arguments.quick else CASES
    rows = []
    for case in cases:
        tell(case.name)
        seen = {loop: observe(case, loop) for loop in LOOPS}
        rows.append(Row(case, seen, {name: tool(case) for name, tool in TOOLS.items()}))
        write_table(rows, results / "table.csv")
    tell("costs")
    costs = measure(3 if arguments.quick else 25)
    write_costs(costs, results / "costs.csv")
    write_page(rows, costs, arguments.output / "README.md")


def write_table(rows: list[Row], file: Path) -> None:
    """One line a case and observer."""
    with file.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(("case", "observer", "step", "tensor", "cause", "replayed"))
        for row in rows:
            case = row.case
            table.writerow((case.name, "known", case.step, case.tensor, case.cause, ""))
            for loop, seen in row.seen.items():
                table.writerow((case.name, f"jointdec, {loop}", seen.step, seen.tensor, seen.cause, seen.replayed))
            for tool, said in row.said.items():
                table.writerow((case.name, tool, said and said.step, said.words if said else "not run", "", ""))


def write_costs(costs: list[Cost], file: Path) -> None:
    """One line a tool."""
    with file.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(Cost._fields)
        table.writerows([cost.tool, *(f"{value:.4g}" for value in cost[1:])] for cost in costs)


def tell(text: str) -> None:
    """Report progress."""
    print(f"divergence: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
