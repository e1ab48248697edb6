"""The tables of a comparison: for the page and the terminal as text, for programs as ``table.csv``."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import rich.table
from rich.box import SIMPLE
from rich.markup import escape

from jointdec.comparing.comparison import Comparison
from jointdec.comparing.groups import Group
from jointdec.comparing.words import about, change, estimate, sentences, split_of, value, verdict
from jointdec.reporting.statistics import Estimate
from jointdec.reporting.terminal import Terminal

STATISTICS = ("mean", "median", "iqm")
TITLES = {"mean": "Mean", "median": "Median", "iqm": "Interquartile mean"}


class Table(NamedTuple):
    """Text, row by row."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(comparison: Comparison) -> list[Table]:
    """Statistics of each group, differences from the baseline, times to the target."""
    drawn = [means_table(comparison, statistic) for statistic in STATISTICS]
    return [drawn[0], *([differences_table(comparison)] if comparison.differences else []), *drawn[1:]] + (
        [target_table(comparison)] if comparison.reached else []
    )


def means_table(comparison: Comparison, statistic: str) -> Table:
    """A statistic of each metric, with its bootstrap interval."""
    head = ["group", "runs", "diverged", *(comparison.name_of(metric) for metric in comparison.metrics)]
    rows = []
    for group in comparison.groups:
        found = (comparison.summaries.get((group.name, metric)) for metric in comparison.metrics)
        cells = [
            estimate(metric, getattr(summary, statistic)) + (f", n {summary.n}" if summary.n < len(group.runs) else "")
            if summary
            else "-"
            for metric, summary in zip(comparison.metrics, found, strict=True)
        ]
        rows.append([group.name, str(len(group.runs)), str(len(group.diverged)), *cells])
    where = split_of(comparison.metrics)
    return Table(f"{TITLES[statistic]} and 95 % bootstrap interval" + (f", {where}" if where else ""), head, rows)


def differences_table(comparison: Comparison) -> Table:
    """Every difference from the baseline."""
    rows = []
    for (group, metric), found in comparison.differences.items():
        p = ["-", "-"] if math.isnan(found.p) else [f"{found.p:.2g}", f"{found.corrected:.2g}"]
        rows.append(
            [group, comparison.name_of(metric), str(found.n), change(metric, found), *p, verdict(metric, found)]
        )
    caption = (
        f"Differences from {comparison.baseline.name}, seed by seed, with Student's 95 % interval; p of the paired t "
        f"test, and after Holm's correction for {len(rows)} comparisons"
    )
    return Table(caption, ["group", "metric", "seeds", "difference", "p", "corrected", "verdict"], rows)


def target_table(comparison: Comparison) -> Table:
    """How fast each group reaches the target."""
    assert comparison.target
    metric, level = comparison.target
    rows = [
        [
            name,
            f"{found.reaching} of {found.total}",
            f"{found.epochs:g}" if math.isfinite(found.epochs) else "not reached",
            f"{found.seconds:.3g}" if math.isfinite(found.seconds) else "-",
        ]
        for name, found in comparison.reached.items()
    ]
    caption = f"Until {metric} is {value(metric, level)}: medians over all runs, training time alone"
    return Table(caption, ["group", "runs that reach it", "epochs", "seconds"], rows)


def write_csv(comparison: Comparison, file: Path) -> None:
    """A row a group and metric; shares as fractions, what is not known empty."""
    columns = [
        *("group", "metric", "n", "diverged", "left_out"),
        *(f"{statistic}{part}" for statistic in STATISTICS for part in ("", "_low", "_high")),
        *("pairs", "difference", "difference_low", "difference_high", "p", "p_corrected", "verdict"),
        *("epochs_to_target", "seconds_to_target", "runs_reaching_target"),
    ]
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened, lineterminator="\n")
        rows.writerow(columns)
        for group in comparison.groups:
            for metric in comparison.metrics:
                rows.writerow([_plain(cell) for cell in _cells(comparison, group, metric)])


def _cells(comparison: Comparison, group: Group, metric: str) -> list[object]:
    key = (group.name, metric)
    summary, found = comparison.summaries.get(key), comparison.differences.get(key)
    reached = comparison.reached.get(group.name)
    unknown = Estimate(math.nan, math.nan, math.nan)
    left_out = sum(len(ids) for ids in group.left_out.values())
    cells: list[object] = [group.name, metric, summary.n if summary else 0, len(group.diverged), left_out]
    for statistic in STATISTICS:
        cells += getattr(summary, statistic) if summary else unknown
    cells += (
        [found.n, found.mean, found.low, found.high, found.p, found.corrected, verdict(metric, found)]
        if found
        else [0, *[""] * 6]
    )
    return [*cells, *([reached.epochs, reached.seconds, reached.reaching] if reached else [""] * 3)]


def _plain(cell: object) -> object:
    return "" if isinstance(cell, float) and not math.isfinite(cell) else cell


class CompareTerminal(Terminal):
    """See `Terminal`."""

    def show(self, comparison: Comparison) -> None:
        """What each group comes to, metric by metric, and what was found."""
        self.note(about(comparison))
        where = split_of(comparison.metrics)
        group_name = rich.table.Column("group", overflow="fold")  # names that are cut off may look alike
        minus = f"minus {escape(comparison.baseline.name)} [95 %]"
        table = rich.table.Table(group_name, "n", "mean [95 %]", minus, "", box=SIMPLE)
        for metric in comparison.metrics:
            table.add_row(f"[bold]{escape(comparison.name_of(metric))}[/]")
            for group in comparison.groups:
                table.add_row(*map(escape, _row(comparison, group, metric)))
        table.caption = f"Means{f', {where}' if where else ''}; bootstrap intervals, of differences Student's."
        self._console.print(table)
        for sentence in sentences(comparison):
            self.note(f"- {sentence}")


def _row(comparison: Comparison, group: Group, metric: str) -> list[str]:
    summary = comparison.summaries.get((group.name, metric))
    found = comparison.differences.get((group.name, metric))
    return [
        group.name,
        str(summary.n if summary else 0) + (f" ({len(group.diverged)} diverged)" if len(group.diverged) else ""),
        estimate(metric, summary.mean) if summary else "-",
        change(metric, found) if found else "",
        verdict(metric, found) if found else "",
    ]
