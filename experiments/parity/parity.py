"""Do the formulations take the same path, and what happens to it where labels are no distributions?

python experiments/parity/parity.py            2,000 steps, about ten minutes
python experiments/parity/parity.py --quick    20 steps
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jointdec.reporting.experiment import write_section

HERE = Path(__file__).parent
BEGIN, END = "<!-- results: written by parity.py -->", "<!-- end of results -->"
CASES = {
    "molecules, float32": ("molecules", "float32"),
    "molecules, float64": ("molecules", "float64"),
    "gaussian labels, float64": ("gaussian", "float64"),
    "gaussian labels, float64, op determinism": ("gaussian", "float64", "--determinism"),
}
SHOWN = (1, 10, 100, 1000, 2000)
FLOOR = 1e-18  # where a difference of 0 is drawn
STYLES = {  # Okabe & Ito's colours; markers tell the curves apart in black and white
    "split": ("#0072B2", "-", "o"),
    "zero_plus_total": ("#D55E00", "--", "s"),
    "tf_native": ("#009E73", "-.", "^"),
    "tf1_graph": ("#CC79A7", ":", "D"),
    "split under fit": ("#000000", "-", "x"),
    "true gradient": ("#E69F00", "-", "v"),
}


class Row(NamedTuple):
    """A measurement: how far a contender's weights are from those of ``joint``."""

    case: str
    contender: str
    step: int
    absolute: float
    relative: float


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 steps, which leave the README alone")
    parser.add_argument("--results", type=Path, help="folder of the results; results/ here, and a new one for --quick")
    arguments = parser.parse_args()
    results: Path = arguments.results or (Path(tempfile.mkdtemp()) if arguments.quick else HERE / "results")
    results.mkdir(parents=True, exist_ok=True)
    rows = [row for case in CASES for row in measure(case, 20 if arguments.quick else 2000)]
    with (results / "table.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Row._fields)
        table.writerows(rows)
    draw(rows, results / "parity.png")
    text = markdown(rows)
    print(text)
    if not arguments.quick:
        write_section(text.rstrip("\n"), HERE / "README.md", BEGIN, END)


def measure(case: str, steps: int) -> list[Row]:
    """Run a case in a process of its own."""
    print(f"parity: {case}", file=sys.stderr, flush=True)
    data, precision, *flags = CASES[case]
    command = [sys.executable, str(HERE / "case.py"), data, precision, str(steps), *flags]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"parity: {case} failed:\n{done.stderr[-3000:]}")
    return [
        Row(case, name, int(step), float(absolute), float(relative))
        for name, step, absolute, relative in csv.reader(done.stdout.splitlines())
    ]


def markdown(rows: list[Row]) -> str:
    """A table a case: the largest difference relative to the largest weight."""
    lines = []
    for case in CASES:
        mine = [row for row in rows if row.case == case]
        steps = [step for step in SHOWN if any(row.step == step for row in mine)]
        lines += [f"**{case}**", "", "| against joint | " + " | ".join(f"step {step:,}" for step in steps) + " |"]
        lines += ["|---|" + "---|" * len(steps)]
        for name in STYLES:
            found = {row.step: row.relative for row in mine if row.contender == name}
            if found:
                cells = ["equal" if found[step] == 0 else f"{found[step]:.0e}" for step in steps]
                lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def draw(rows: list[Row], file: Path) -> None:
    """A panel a case, both axes logarithmic."""
    figure = Figure(figsize=(12, 8), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, case in zip(panels.flat, CASES, strict=True):
        for name, (color, line, marker) in STYLES.items():
            mine = [row for row in rows if (row.case, row.contender) == (case, name)]
            values = [max(row.relative, FLOOR) for row in mine]
            axes.plot(
                *([row.step for row in mine], values),
                **{"label": name, "color": color, "linestyle": line, "marker": marker, "markerfacecolor": "none"},
            )
        axes.axhline(FLOOR, color="0.7", linewidth=0.8)
        axes.text(1, FLOOR * 1.5, "equal to the last bit", color="0.4", fontsize=8)
        axes.set(xscale="log", yscale="log", title=case)
        axes.grid(color="0.92")
    for axes in panels[1]:
        axes.set_xlabel("optimizer step")
    for axes in panels[:, 0]:
        axes.set_ylabel("largest weight difference from joint\nover the largest weight")
    panels[1, 0].legend(fontsize=9, loc="center left")
    figure.savefig(file)


if __name__ == "__main__":
    main()
