"""What the guard against divergence costs a step, and gradient norms: the same program with and without, in turn.

python experiments/throughput/guard.py    writes results/guard.csv and the README's section; five minutes
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from problem import Problem, compose_config, repeated
from rounds import measure

from jointdec.problems.molecules.load import load
from jointdec.reporting.experiment import write_section

HERE = Path(__file__).parent
BEGIN, END = "<!-- guard: written by guard.py -->", "<!-- end of guard -->"
STEPS = {50: 400, 300: 100}  # an epoch's, by batch size
ROUNDS = 15
LIMIT = 1.03
WORDS = {
    "unguarded": "looks at nothing",
    "without_norms": "each chunk cleared by its losses and variables",
    "compiled": "and gradient norms in every 20th step",
    "all_norms": "and gradient norms in every step",
    "bare": "no curves either",
}
COLUMNS = ("batch", "contender", "ms_per_step", "ratio_to_unguarded", "lower_quartile", "upper_quartile", "rounds")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"timed epochs of each (default {ROUNDS})")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of README.md and results/")
    arguments = parser.parse_args()
    sample = load(compose_config().data).train
    rows = []
    for batch, steps in STEPS.items():
        problem = Problem(repeated(sample, batch * steps), batch)
        measured = measure({name: (name, problem) for name in WORDS}, arguments.rounds)
        times = {name: np.array([r.ms_per_step for r in rounds[1:]]) for name, rounds in measured.items()}  # type: ignore[union-attr]
        for name, values in times.items():
            lower, ratio, upper = np.percentile(values / times["unguarded"], (25, 50, 75))
            rows.append((batch, name, float(np.median(values)), ratio, lower, upper, len(values)))
    results = arguments.output / "results"
    results.mkdir(parents=True, exist_ok=True)
    with (results / "guard.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows([*row[:2], *(f"{value:.4g}" for value in row[2:6]), row[6]] for row in rows)
    text = "\n".join(_lines(rows))
    print(text + "\n")
    write_section(text, arguments.output / "README.md", BEGIN, END)


def _lines(rows: list[tuple[int, str, float, float, float, float, int]]) -> list[str]:
    lines = ["| batch | | ms/step | against the loop that looks at nothing (quartiles) |", "|---|---|---|---|"]
    for batch, name, median, ratio, lower, upper, _ in rows:
        lines.append(f"| {batch} | {WORDS[name]} | {median:.2f} | {ratio:.3f} ({lower:.3f} to {upper:.3f}) |")
    verdicts = [f"batch {row[0]}: {'pass' if row[3] <= LIMIT else 'FAIL'}" for row in rows if row[1] == "without_norms"]
    return [
        *lines,
        "",
        f"Aim for the guard: at most {LIMIT:g} (median of {rows[0][-1]} paired rounds). {', '.join(verdicts)}.",
    ]


if __name__ == "__main__":
    main()
