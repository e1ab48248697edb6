"""What every run and every trial leaves: its curves, the text that people read first in MLflow, ``summary.json``."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jointdec.config import Config
from jointdec.dataset import Dataset
from jointdec.divergence.record import Divergence
from jointdec.divergence.runaway import Runaway
from jointdec.objective.formulation import formulation_class
from jointdec.problems import find
from jointdec.problems.molecules.specimens import Finding
from jointdec.reporting.curve_arrays import save_curves
from jointdec.reporting.names import higher_is_better
from jointdec.tracking import Tracker
from jointdec.training.result import EpochResult


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


def description(  # noqa: PLR0913, PLR0917 (all that a run knows)
    config: Config,
    dataset: Dataset,
    outcome: str,
    results: Sequence[EpochResult],
    final: Mapping[str, float],
    findings: Findings,
) -> str:
    """Markdown: what was trained on what, how it ended and why, and of a specimen why it is wrong."""
    training, problem = config.training, find(config.problem)
    live = "".join(f", {key} {getattr(config.model, key):g}" for key in problem.live)
    lines = [
        f"**{config.loss.name}** on **{dataset.name}**: {formulation_class(problem, config.loss.name).summary}.",
        "",
        f"total = {total_of(config)}; `{config.model.name}`{live}; {len(dataset.train):,} examples to train on "
        f"(digest `{dataset.digest}`), batch {training.batch_size}, {training.precision}, seed {config.seed}.",
    ]
    for warning in dataset.warnings:
        lines += ["", f"**Warning**: {warning}"]
    if dataset.missing:
        counts = ", ".join(f"{head} {count:,}" for head, count in dataset.missing.items())
        lines += ["", f"Missing labels: {counts}. A head's loss and metrics are means over what is there."]
    lines += ["", f"Outcome: **{outcome}** after {len(results)} of {training.epochs} epochs."]
    for sentence in findings.sentences:
        lines += ["", sentence]
    if config.specimen:
        lines += ["", f"A **specimen**, kept because it is wrong. {config.specimen.did}"]
        if found := findings.specimen:
            lines += ["", f"Found ({found.kind}): {found.evidence}"]
        elif outcome == "failed":  # of a sweep's trials nobody asks
            lines += ["", "Found nothing of what it declares."]
        lines += ["", config.specimen.happens, "", f"Instead: {config.specimen.instead}"]
    if final:
        lines += ["", "| metric | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4f} |" for name, value in final.items()]
    return "\n".join(lines)


def total_of(config: Config) -> str:
    """The total loss as a sum, as 1 · price + 2 · kind."""
    parts = {**config.loss.weights, **config.loss.terms}
    return " + ".join(f"{weight:g} · {name}" for name, weight in parts.items())


def write_summary(
    file: Path, facts: Mapping[str, Any], results: Sequence[EpochResult], final: Mapping[str, float]
) -> None:
    """Write the summary of a run.

    After the facts come epochs and steps that were taken, last (the last epoch's metrics by their MLflow names), best
    (of each validation metric: value and epoch) and final (``test/…`` and what the problem judges its models by).
    A value that is not finite is null, as JSON has no NaN.

    Args:
        file: where to write.
        facts: run_id (null when untracked), outcome, seconds (wall time of the command), skipped (steps whose batches
            were dropped), and what was found, see `Findings`.
        results: the epochs in their order.
        final: metrics of the trained model.
    """
    summary = {
        **facts,
        "epochs": len(results),
        "steps": sum(len(result.steps["loss"]) for result in results),
        "last": last_metrics(results[-1]) if results else {},
        "best": best_metrics(results),
        "final": final,
    }
    file.write_text(json.dumps(_finite(summary), indent=2) + "\n")


def last_metrics(result: EpochResult) -> dict[str, float]:
    """An epoch's metrics by their MLflow names."""
    parts = (("train", result.train), ("val", result.val), ("time", {"ms_per_step": result.ms_per_step}))
    return {f"{part}/{name}": value for part, values in parts for name, value in values.items()}


def best_metrics(results: Sequence[EpochResult]) -> dict[str, dict[str, float]]:
    """Of each validation metric the best finite value and its epoch; a metric that never was finite is absent."""
    best = {}
    for name in dict.fromkeys(name for result in results for name in result.val):
        finite = {result.epoch: result.val[name] for result in results if math.isfinite(result.val.get(name, math.nan))}
        if finite:
            epoch = (max if higher_is_better(name) else min)(finite, key=lambda epoch: finite[epoch])
            best[f"val/{name}"] = {"value": finite[epoch], "epoch": epoch}
    return best


def _finite(value: Any) -> Any:  # noqa: ANN401 (a tree of JSON)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
