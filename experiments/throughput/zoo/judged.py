"""What jointdec.fit set out to reach on models that are not its own, and whether it did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from aims import Verdict
from rows import Row

SMALL = ("mlp", "mlp_dropout", "custom_step", "two_inputs", "embedding")  # a step is mostly Keras's own work
OVER_FIT, OVER_TUNED, NEVER_SLOWER = 20.0, 3.0, 0.95
LATER = 2.0  # seconds
STREAMED = 0.80
Places = dict[tuple[str, ...], float | None]
Choose = Callable[..., tuple[str, ...]]  # min or max


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Every aim, on the models that were measured."""
    models = list(dict.fromkeys(row.model for row in rows if row.question == "steps"))
    judged = []
    for model in models:
        if model in SMALL:
            fit, tuned = ratio(rows, model, "fit"), ratio(rows, model, faster_tuned(rows, model))
            judged += [
                Verdict(f"{model}: fit with defaults, x jointdec.fit", fit, OVER_FIT, at_most=False),
                Verdict(f"{model}: the faster tuned fit, x jointdec.fit", tuned, OVER_TUNED, at_most=False),
            ]
    pairs = {(model, name): ratio(rows, model, name) for model in models for name in ("fit", "tuned", "tuned_xla")}
    least, which = _extreme(pairs, min)
    judged.append(Verdict(f"never slower than any fit; the closest: {which}", least, NEVER_SLOWER, at_most=False))
    late, which = _extreme({(model,): later(rows, model) for model in models}, max)
    judged.append(Verdict(f"first epoch after fit's; the latest: {which}", late, LATER, at_most=True, unit=" s"))
    for row in rows:
        if (row.question, row.name) == ("streaming", "streamed"):
            share = float(np.median(np.divide(row.reference, row.values))) if row.values else None
            what = f"{row.model}: data four times the allowed memory, share of the speed on data that fit"
            judged.append(Verdict(what, share, STREAMED, at_most=False))
    return judged


def faster_tuned(rows: Sequence[Row], model: str) -> str:
    """Of the two tuned fits the one that is faster on this model: XLA gains on some and loses on others."""
    return min(("tuned", "tuned_xla"), key=lambda name: ratio(rows, model, name) or np.inf)


def ratio(rows: Iterable[Row], model: str, name: str) -> float | None:
    """A contender's time of a step over that of jointdec.fit."""
    row = _find(rows, "steps", model, name)
    return row.ratio if row else None


def later(rows: Iterable[Row], model: str) -> float | None:
    """Seconds by which jointdec.fit's first epoch ends after fit's, in processes started in turn."""
    ours, theirs = _find(rows, "start", model, "jointdec"), _find(rows, "start", model, "fit")
    return float(np.median(np.subtract(ours.values, theirs.values))) if ours and theirs else None


def _find(rows: Iterable[Row], question: str, model: str, name: str) -> Row | None:
    wanted = (question, model, name)
    return next((row for row in rows if (row.question, row.model, row.name) == wanted and row.values), None)


def _extreme(values: Places, choose: Choose) -> tuple[float | None, str]:
    """The smallest or largest of what was measured, and where."""
    measured = {key: value for key, value in values.items() if value is not None}
    if not measured:
        return None, "none"
    key = choose(measured, key=measured.__getitem__)
    return measured[key], ", ".join(key)
