"""What a person at the terminal sees of a comparison."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Column, Table

from jointdec.comparing.comparison import Comparison
from jointdec.comparing.groups import Group
from jointdec.comparing.words import about, change, estimate, name_of, sentences, split_of, verdict
from jointdec.reporting.terminal import Terminal


class CompareTerminal(Terminal):
    """See `Terminal`."""

    def show(self, comparison: Comparison) -> None:
        """What each group comes to, metric by metric, and what was found."""
        self.note(about(comparison))
        where = split_of(comparison.metrics)
        group_name = Column("group", overflow="fold")  # names that are cut off may look alike
        minus = f"minus {escape(comparison.baseline.name)} [95 %]"
        table = Table(group_name, "n", "mean [95 %]", minus, "", box=SIMPLE)
        for metric in comparison.metrics:
            table.add_row(f"[bold]{escape(name_of(metric))}[/]")
            for group in comparison.groups:
                table.add_row(*map(escape, _cells(comparison, group, metric)))
        table.caption = f"Means{f', {where}' if where else ''}; bootstrap intervals, of differences Student's."
        self._console.print(table)
        for sentence in sentences(comparison):
            self.note(f"- {sentence}")


def _cells(comparison: Comparison, group: Group, metric: str) -> list[str]:
    summary = comparison.summaries.get((group.name, metric))
    found = comparison.differences.get((group.name, metric))
    return [
        group.name,
        str(summary.n if summary else 0) + (f" ({len(group.diverged)} diverged)" if len(group.diverged) else ""),
        estimate(metric, summary.mean) if summary else "-",
        change(metric, found) if found else "",
        verdict(metric, found) if found else "",
    ]
