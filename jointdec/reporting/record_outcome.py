"""What every run and every trial leaves: its curves as arrays, the text that people read first, summary.json."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from jointdec.config import Config
from jointdec.dataset import Dataset
from jointdec.reporting.curve_arrays import save_curves
from jointdec.reporting.description import description
from jointdec.reporting.findings import Findings
from jointdec.reporting.summary import write_summary
from jointdec.tracking import Tracker
from jointdec.training.result import EpochResult


def record_arrays(results: Sequence[EpochResult], folder: Path, tracker: Tracker) -> None:
    """Keep the curves of all steps, and say how many batches were skipped."""
    save_curves(results, folder / "curves.npz")
    tracker.log_artifact(folder / "curves.npz")
    if skipped := sum(len(result.skipped) for result in results):
        tracker.set_tags({"jointdec.divergence.skipped": skipped})


def record_outcome(  # noqa: PLR0913, PLR0917 (all that a run knows)
    config: Config,
    dataset: Dataset,
    outcome: str,
    results: Sequence[EpochResult],
    final: Mapping[str, float],
    findings: Findings,
    folder: Path,
    tracker: Tracker,
    began: float,
) -> None:
    """Describe the run, write its summary, and end its record; ``began`` is of time.perf_counter()."""
    tracker.describe(description(config, dataset, outcome, results, final, findings))
    facts: dict[str, object] = {"run_id": tracker.run_id, "outcome": outcome, "seconds": time.perf_counter() - began}
    facts["skipped"] = [step for result in results for step in result.skipped]
    write_summary(folder / "summary.json", facts | findings.as_dict(), results, final)
    tracker.log_artifact(folder / "summary.json")
    tracker.finish(outcome)
