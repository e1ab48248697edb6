"""What a person at the terminal sees of a comparison."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from jointdec.comparing.comparison import Comparison
from jointdec.comparing.tables import means_table
from jointdec.comparing.words import about, sentences
from jointdec.reporting.terminal import Terminal


class CompareTerminal(Terminal):
    """See `Terminal`."""

    def show(self, comparison: Comparison) -> None:
        """The means, and what was found."""
        self.note(about(comparison))
        means = means_table(comparison, "mean")
        table = Table(*map(escape, means.head), caption=f"{means.caption}.", caption_justify="left")
        for row in means.rows:
            table.add_row(*map(escape, row))
        self._console.print(table)
        for sentence in sentences(comparison):
            self.note(f"- {sentence}")
