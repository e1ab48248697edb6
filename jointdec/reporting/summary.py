"""``summary.json``: what a script wants to know about a run that is over."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jointdec.training.result import EpochResult

SHARES = (  # last words of metrics from 0 to 1, of which 1 is best
    *("accuracy", "acc", "exact", "all_right", "top_k", r"top_\d+"),
    *("auc", "precision", "recall", "sensitivity", "specificity"),
    *("f1_score", "f_?beta_score", "iou", "io_u"),
    *("validity", "uniqueness", "novelty", "connected"),
)
LARGER = ("r2_score", "similarity", "correlation", "true_positives", "true_negatives")  # better, too, but no shares


def is_share(metric: str) -> bool:
    """Whether it is a share of what is right, told by the last word of its name, see `SHARES`.

    The words are those of Keras's metrics and of jointdec's own; a number behind them, as in ``auc_1``, is Keras's.
    """
    return _ends_with(metric, SHARES)


def higher_is_better(metric: str) -> bool:
    """Whether more of it is better: shares and `LARGER`; of everything else, as losses and errors, less is."""
    return _ends_with(metric, (*SHARES, *LARGER))


def _ends_with(metric: str, words: Sequence[str]) -> bool:
    return re.search(rf"(?:^|[/_])(?:{'|'.join(words)})(?:_\d+)?$", metric) is not None


def write_summary(
    file: Path, facts: Mapping[str, Any], results: Sequence[EpochResult], final: Mapping[str, float]
) -> None:
    """Write the summary of a run.

    After the facts come epochs and steps that were taken, last (the last epoch's metrics by their MLflow names), best
    (of each validation metric: value and epoch) and final (``test/…`` and what the problem judges its
    models by). A value that is not finite
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
