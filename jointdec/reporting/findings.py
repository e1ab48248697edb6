"""What was found out about a run besides its numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

from jointdec.divergence.record import Divergence
from jointdec.divergence.runaway import Runaway
from jointdec.problems.molecules.specimens import Finding


class Findings(NamedTuple):
    """What became of a specimen, what a divergence was, when a loss ran away; None where there is nothing to tell."""

    specimen: Finding | None = None
    divergence: Divergence | None = None
    runaway: Runaway | None = None

    def as_dict(self) -> dict[str, Any]:
        """For summary.json: finding, divergence and runaway, those that there are."""
        found: dict[str, Any] = {}
        if self.specimen:
            found["finding"] = self.specimen._asdict()
        if self.divergence:
            names = ("step", "tensor", "operation", "line", "where", "cause", "evidence", "remedy")
            found["divergence"] = {name: getattr(self.divergence, name) for name in names}
        if self.runaway:
            found["runaway"] = self.runaway._asdict()
        return found

    @property
    def sentences(self) -> list[str]:
        """What a description says of a divergence and a loss that ran away, in Markdown."""
        lines = [self.runaway.sentence] if self.runaway else []
        if divergence := self.divergence:
            lines += [
                f"**Diverged** {divergence.sentence}",
                f"Cause: **{divergence.cause}**. {divergence.evidence}",
                f"Try: {divergence.remedy} See the artifact `divergence/report.md`.",
            ]
        return lines
