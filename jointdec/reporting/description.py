"""The text that a person reads first when a run is opened in MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jointdec.config import Config
from jointdec.dataset import Dataset
from jointdec.objective.formulation import formulation_class
from jointdec.problems import find
from jointdec.reporting.findings import Findings
from jointdec.training.result import EpochResult


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
        lines += [
            "",
            f"A **specimen**, kept because it is wrong. {config.specimen.did}",
            "",
            *_found(outcome, findings),
            config.specimen.happens,
            "",
            f"Instead: {config.specimen.instead}",
        ]
    if final:
        lines += ["", "| metric | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4f} |" for name, value in final.items()]
    return "\n".join(lines)


def total_of(config: Config) -> str:
    """The total loss as a sum, as 1 · price + 2 · kind."""
    parts = {**config.loss.weights, **config.loss.terms}
    return " + ".join(f"{weight:g} · {name}" for name, weight in parts.items())


def _found(outcome: str, findings: Findings) -> list[str]:
    """Whether it failed as it declares; of a sweep's trials nobody asks."""
    if found := findings.specimen:
        return [f"Found ({found.kind}): {found.evidence}", ""]
    return ["Found nothing of what it declares.", ""] if outcome == "failed" else []
