"""The tables of README.md, between two marks, from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from costs import Cost

if TYPE_CHECKING:
    from divergence import Row
    from peers import Said

BEGIN, END = "<!-- written by divergence.py -->\n", "<!-- end -->\n"


def write_page(rows: Sequence[Row], costs: Sequence[Cost], file: Path) -> None:
    """Replace what is between the marks, or write a page of the tables alone where there is none."""
    text = "\n".join([*_summary(rows), "", *_cases(rows), "", *_tools(rows), "", *_costs(costs), ""])
    if not file.is_file():
        file.write_text(text, encoding="utf-8")
        return
    page = file.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    file.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def _summary(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| jointdec, of the cases | right step | right tensor | right cause | replay agrees |",
        "|---|---|---|---|---|",
    ]
    for loop in rows[0].seen:
        known = [row for row in rows if row.case.step is not None]
        counts = (
            f"{sum(row.seen[loop].step == row.case.step for row in known)} of {len(known)}",
            f"{sum(row.seen[loop].tensor == row.case.tensor for row in rows)} of {len(rows)}",
            f"{sum(row.seen[loop].cause == row.case.cause for row in rows)} of {len(rows)}",
            f"{sum(row.seen[loop].replayed for row in rows)} of {len(rows)}",
        )
        lines.append(f"| `training={loop}` | " + " | ".join(counts) + " |")
    return lines


def _cases(rows: Sequence[Row]) -> list[str]:
    lines = ["| what is done | known: step, tensor, cause | `compiled` | `fit` |", "|---|---|---|---|"]
    for row in rows:
        case = row.case
        step = "?" if case.step is None else str(case.step)
        cells = []
        for seen in row.seen.values():
            wrong = [
                f"{what}: {got}"
                for what, got, wanted in (
                    ("step", seen.step, seen.step if case.step is None else case.step),
                    ("tensor", seen.tensor, case.tensor),
                    ("cause", seen.cause, case.cause),
                    ("replay agrees", seen.replayed, True),
                )
                if got != wanted
            ]
            known = f"hit, step {seen.step}" if case.step is None else "hit"
            cells.append("**miss**, " + ", ".join(wrong) if wrong else known)
        lines.append(f"| {case.name} | {step}, `{case.tensor}`, {case.cause} | " + " | ".join(cells) + " |")
    return lines


def _tools(rows: Sequence[Row]) -> list[str]:
    names = list(rows[0].said)
    lines = ["| what is done | known: step | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    for row in rows:
        step = "?" if row.case.step is None else str(row.case.step)
        lines.append(f"| {row.case.name} | {step} | " + " | ".join(map(_words, row.said.values())) + " |")
    return lines


def _words(said: Said | None) -> str:
    if said is None:
        return "not run"
    return "silent" if said.step is None else f"step {said.step}: {said.words}"


def _costs(costs: Sequence[Cost]) -> list[str]:
    lines = ["| tool | ms/step without it | with it | ratio (quartiles) |", "|---|---|---|---|"]
    for cost in costs:
        spread = f"{cost.ratio:.3f} ({cost.lower:.3f} to {cost.upper:.3f})"
        lines.append(f"| {cost.tool} | {cost.without:.2f} | {cost.with_it:.2f} | {spread} |")
    return lines
