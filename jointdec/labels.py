"""Finds numbers that no training survives, before it starts: with counts, and where the first one stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.dataset import EDGE_CLASSES, FEATURES, NODE_CLASSES, NODES, Split
from jointdec.errors import UserError

HEADS = {"nodes": ((NODES,), NODE_CLASSES), "edges": ((NODES, NODES), EDGE_CLASSES)}
ROUNDING = 1e-3  # of a sum of probabilities: float16 keeps three digits


def require_usable(split: Split, where: str) -> None:
    """Check shapes, that all numbers are finite, and that class indices name a class.

    Args:
        split: what to check.
        where: what to call it, e.g. "the train split".

    Raises:
        UserError: something is not so.
    """
    size = len(split)
    _require_shape("features", split.features, [(size, FEATURES)], where)
    _require_finite("features", split.features, where)
    for head, (places, classes) in HEADS.items():
        labels: npt.NDArray[Any] = getattr(split, head)
        _require_shape(head, labels, [(size, *places), (size, *places, classes)], where)
        _require_finite(head, labels, where)
        if labels.ndim == len(places) + 1:
            _require_classes(head, labels, classes, where)


def label_problem(split: Split, where: str) -> str | None:
    """One sentence on labels that are no distributions over the classes, negative or not of sum one; else None."""
    for head, (places, _) in HEADS.items():
        labels = getattr(split, head)
        if labels.ndim == len(places) + 1:
            continue  # class indices
        negative = (labels < 0).any(-1)
        wrong_sum = np.abs(labels.sum(-1, dtype=np.float64) - 1) > ROUNDING
        if (bad := negative | wrong_sum).any():
            first = _first(bad)
            return (
                f"{bad.sum():,} of {bad.size:,} {head} labels in {where} are no distributions ({negative.sum():,} have "
                f"a negative entry, {wrong_sum.sum():,} do not sum to 1), the first at index {list(first)}, which is "
                f"{[round(float(value), 3) for value in labels[first]]}."
            )
    return None


LABEL_EFFECT = (
    "The cross-entropy of such labels has no lower bound, so the loss falls for ever and says nothing, and the "
    "gradient of TensorFlow's fused kernel is p - y, not the gradient p sum(y) - y of the loss that it reports."
)


def _require_shape(name: str, array: npt.NDArray[Any], allowed: list[tuple[int, ...]], where: str) -> None:
    if array.shape not in allowed:
        shapes = " or ".join(str(shape) for shape in allowed)
        raise UserError(f"{name} of {where} has the shape {array.shape}, but must have {shapes}.")


def _require_finite(name: str, array: npt.NDArray[Any], where: str) -> None:
    bad = ~np.isfinite(array)
    if bad.any():
        nans, first = int(np.isnan(array).sum()), _first(bad)
        raise UserError(
            f"{name} of {where} holds {nans:,} NaN and {int(bad.sum()) - nans:,} infinite values, the first at index "
            f"{list(first)}: mend or leave out these rows."
        )


def _require_classes(name: str, array: npt.NDArray[Any], classes: int, where: str) -> None:
    if array.dtype.kind not in "iu":
        raise UserError(f"{name} of {where} holds class indices of type {array.dtype}, but must hold whole numbers.")
    bad = (array < 0) | (array >= classes)
    if bad.any():
        first = _first(bad)
        raise UserError(
            f"{name} of {where} holds {int(bad.sum()):,} class indices outside 0 to {classes - 1}, the first at index "
            f"{list(first)}, which is {array[first]}."
        )


def _first(bad: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(int(bad.argmax()), bad.shape))
