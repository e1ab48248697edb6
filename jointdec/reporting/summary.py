"""``summary.json``: what a script wants to know about a run that is over."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jointdec.training.result import EpochResult

ACCURACIES = ("node_accuracy", "edge_accuracy", "exact")


def higher_is_better(metric: str) -> bool:
    """Whether it is a share of what is right: an accuracy of any split, or a figure of merit of generated molecules."""
    return metric.rpartition("/")[2] in ACCURACIES or metric.startswith("generate/")


def write_summary(
    file: Path, facts: Mapping[str, Any], results: Sequence[EpochResult], final: Mapping[str, float]
) -> None:
    """Write the summary of a run.

    After the facts come epochs and steps that were taken, last (the last epoch's metrics by their MLflow names), best
    (of each validation metric: value and epoch) and final (``test/…`` and ``generate/…``). A value that is not finite
    is null, as JSON has no NaN.

    Args:
        file: where to write.
        facts: run_id (null when untracked), outcome, seconds (wall time of the command), skipped (steps whose batches
            were dropped), and what was found, see `jointdec.reporting.findings`.
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
    return (
        {f"train/{name}": value for name, value in result.train.items()}
        | {f"val/{name}": value for name, value in result.val.items()}
        | {"time/ms_per_step": result.ms_per_step}
    )


def best_metrics(results: Sequence[EpochResult]) -> dict[str, dict[str, float]]:
    """Of each validation metric the best finite value and its epoch; a metric that never was finite is absent."""
    best = {}
    for name in results[0].val if results else ():
        finite = [result for result in results if math.isfinite(result.val[name])]
        if finite:
            choose = max if higher_is_better(name) else min
            chosen = choose(finite, key=lambda result: result.val[name])
            best[f"val/{name}"] = {"value": chosen.val[name], "epoch": chosen.epoch}
    return best


def _finite(value: Any) -> Any:  # noqa: ANN401 (a tree of JSON)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
