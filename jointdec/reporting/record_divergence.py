"""What a run leaves behind when it diverged: the last good state, what was found out, a picture of the last steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jointdec.config import Config
from jointdec.dataset import Dataset
from jointdec.divergence.last_good import LastGood
from jointdec.divergence.record import Divergence
from jointdec.divergence.runaway import Runaway
from jointdec.divergence.step_again import batch_of_step
from jointdec.problems import find
from jointdec.reporting.divergence import divergence_figure, divergence_report
from jointdec.tracking import Tracker
from jointdec.training.loop import Loop
from jointdec.training.result import EpochResult, diverged_at

TAGS = ("step", "tensor", "operation", "line", "cause")


def record_divergence(  # noqa: PLR0913, PLR0917 (all that a run knows)
    config: Config,
    dataset: Dataset,
    training: Loop,
    results: Sequence[EpochResult],
    runaway: Runaway | None,
    folder: Path,
    tracker: Tracker,
) -> Divergence:
    """Find the first tensor that is not finite and the cause; write and log ``divergence/``; set the tags.

    Args:
        config: of the run.
        dataset: what it trained on.
        training: the loop, after its last epoch.
        results: the epochs.
        runaway: the loss that ran away, if no step was bad.
        folder: the run's output folder.
        tracker: its record.
    """
    place, problem = folder / "divergence", find(config.problem)
    place.mkdir(exist_ok=True)
    step = diverged_at(results)
    if step is not None:
        assert training.bad_state is not None
        LastGood(step, batch_of_step(config, dataset, step), training.bad_state).save(place / "state.npz")
        tracker.log_artifact(place / "state.npz", "divergence")  # first of all: what comes now only explains it
        divergence = problem.investigate(config, dataset, training.bad_state, step)
        if not training.retaken_alike:
            unlike = "The steps before it, taken again, gave other numbers: this device does not repeat itself."
            divergence = replace(divergence, evidence=f"{divergence.evidence} {unlike}")
    else:
        assert runaway is not None
        divergence = problem.investigate_runaway(config, dataset, training.state(), runaway)
    divergence_figure(results, divergence.step).savefig(place / "steps.png")
    (place / "report.md").write_text(divergence_report(divergence, results, tracker.run_id), encoding="utf-8")
    for name in ("report.md", "steps.png"):
        tracker.log_artifact(place / name, "divergence")
    tracker.set_tags({f"jointdec.divergence.{name}": getattr(divergence, name) for name in TAGS})
    return divergence
