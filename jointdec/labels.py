"""Labels and their kinds: what they must be, checked before anything is trained, with counts and places.

A missing label has the weight 0; whatever stands in its place is replaced by one that the loss can take, so that no
NaN gets into a gradient by way of a product with 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from jointdec.dataset import Array, Split, leaves
from jointdec.errors import BadProblem
from jointdec.problem import Head

ROUNDING = 1e-3  # of a sum of probabilities: float16 keeps three digits
KIND_NUMBERS = {
    "classes": "whole numbers from 0",
    "distribution": "shares of the classes, or whole numbers from 0",
    "real": "numbers",
    "multilabel": "numbers from 0 to 1",
    "counts": "whole numbers from 0",
}
NO_DISTRIBUTION = (
    "The cross-entropy of such labels has no lower bound, so the loss falls for ever and says nothing, and the "
    "gradient of TensorFlow's fused kernel is p - y, not the gradient p sum(y) - y of the loss that it reports."
)


def checked(split: Split, heads: Mapping[str, Head], where: str) -> Split:
    """The same examples with labels of their kinds, what is missing replaced.

    Args:
        split: as the user gave it.
        heads: what the labels are of.
        where: what to call the split, e.g. "data() in house.py".

    Raises:
        BadProblem: numbers that are not finite, labels of another kind, other lengths than x has.
    """
    size = len(split)
    for number, array in enumerate(leaves(split.x)):
        name = "x" if number == 0 else f"array {number} of x"
        _require_length(name, array, size, where)
        if array.dtype.kind not in "biuf":
            raise BadProblem(f"{name} of {where} is of type {array.dtype}, but must be numbers.")
        require_finite(name, array, where)
    _require_heads(split, heads, where)
    y, weights = {}, {}
    for name, head in heads.items():
        labels = split.y[name]
        _require_length(f"y[{name!r}]", labels, size, where)
        if name in split.weights:
            weights[name] = _weights(split.weights[name], name, size, where)
        y[name] = _labels(labels, weights.get(name), name, head, where)
    return replace(split, y=y, weights=weights)


def fitted(split: Split, heads: Mapping[str, Head], shapes: Mapping[str, tuple[int, ...]], where: str) -> Split:
    """The same examples with labels and weights of the shapes that the model's outputs (without the batch) ask for.

    Raises:
        BadProblem: they have others, or a class is outside of the logits.
    """
    y, weights = {}, dict(split.weights)
    for name, head in heads.items():
        y[name] = _of_shape(split.y[name], head, shapes[name], f"y[{name!r}] of {where}", name)
        if name in weights:
            weights[name] = _over_places(weights[name], y[name], head, shapes[name], f"weights[{name!r}] of {where}")
    return replace(split, y=y, weights=weights)


def label_problem(split: Split, heads: Mapping[str, Head], where: str) -> str | None:
    """One sentence on labels that are no distributions over the classes, negative or not of sum one; else None."""
    for name, head in heads.items():
        labels = split.y[name]
        if head.kind != "distribution" or labels.dtype.kind in "iu":
            continue
        negative = (labels < 0).any(-1)
        wrong_sum = np.abs(labels.sum(-1, dtype=np.float64) - 1) > ROUNDING
        if (bad := negative | wrong_sum).any():
            first = _first(bad)
            return (
                f"{bad.sum():,} of {bad.size:,} {name} labels in {where} are no distributions ({negative.sum():,} have "
                f"a negative entry, {wrong_sum.sum():,} do not sum to 1), the first at index {list(first)}, which is "
                f"{[round(float(value), 3) for value in labels[first]]}."
            )
    return None


def places_of(head: Head, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The places of an output of this shape: one label each."""
    return shape[:-1] if head.kind in ("classes", "distribution") else shape


def require_finite(name: str, array: Array, where: str) -> None:
    """Refuse NaN and Inf.

    Raises:
        BadProblem: there are some.
    """
    if array.dtype.kind not in "fc":
        return
    bad = ~np.isfinite(array)
    if bad.any():
        nans, first = int(np.isnan(array).sum()), _first(bad)
        raise BadProblem(
            f"{name} of {where} holds {nans:,} NaN and {int(bad.sum()) - nans:,} infinite values, the first at index "
            f"{list(first)}: mend or leave out these rows."
        )


def require_classes(name: str, array: Array, classes: int, where: str) -> None:
    """Refuse whole numbers that name no class.

    Raises:
        BadProblem: there are some.
    """
    bad = (array < 0) | (array >= classes)
    if bad.any():
        first = _first(bad)
        raise BadProblem(
            f"{name} of {where} holds {int(bad.sum()):,} class indices outside 0 to {classes - 1}, the first at index "
            f"{list(first)}, which is {array[first]}."
        )


def _require_heads(split: Split, heads: Mapping[str, Head], where: str) -> None:
    for what, given in (("y", split.y), ("weights", split.weights)):
        if unknown := [name for name in given if name not in heads]:
            raise BadProblem(f"{what} of {where} has {unknown[0]!r}, but the heads are {', '.join(heads)}.")
    if missing := [name for name in heads if name not in split.y]:
        raise BadProblem(
            f"y of {where} has no labels of the head {missing[0]!r}: it has {', '.join(split.y) or 'none'}."
        )


def _require_length(name: str, array: Array, size: int, where: str) -> None:
    if array.ndim == 0 or len(array) != size:
        raise BadProblem(f"{name} of {where} has the shape {array.shape}, but x has {size:,} rows.")


def _weights(weights: Array, name: str, size: int, where: str) -> Array:
    what = f"weights[{name!r}]"
    _require_length(what, weights, size, where)
    if weights.dtype.kind not in "biuf":
        raise BadProblem(
            f"{what} of {where} is of type {weights.dtype}, but must be numbers, 0 where a label is missing."
        )
    require_finite(what, weights, where)
    if (bad := weights < 0).any():
        raise BadProblem(f"{what} of {where} holds {int(bad.sum()):,} below 0, the first at index {list(_first(bad))}.")
    return weights.astype(np.float32)


def _labels(labels: Array, weights: Array | None, name: str, head: Head, where: str) -> Array:
    """Labels as whole numbers or floats, those that are missing replaced."""
    what = f"y[{name!r}] of {where}"
    if labels.dtype.kind not in "biuf":
        raise BadProblem(f"{what} is of type {labels.dtype}, but {head.kind} labels are {KIND_NUMBERS[head.kind]}.")
    if weights is not None:
        there = (
            np.broadcast_to(_aligned(weights > 0, labels.ndim), labels.shape) if weights.ndim <= labels.ndim else None
        )
        if there is None:
            raise BadProblem(
                f"weights[{name!r}] of {where} has the shape {weights.shape}, more than the labels' {labels.shape}."
            )
        labels = np.where(there, labels, np.zeros((), labels.dtype))
    if labels.dtype.kind == "f" and (bad := ~np.isfinite(labels)).any():
        first = _first(bad)
        raise BadProblem(
            f"{what} holds {int(bad.sum()):,} labels that are NaN or infinite, the first at index {list(first)}: give "
            f"them the weight 0 in weights[{name!r}] if they are missing."
        )
    if head.kind in ("classes", "counts"):
        if labels.dtype.kind == "f" and (bad := labels != np.floor(labels)).any():
            first = _first(bad)
            raise BadProblem(
                f"{what} holds {int(bad.sum()):,} numbers that are not whole, the first at index {list(first)}, which "
                f"is {labels[first]:g}, but {head.kind} labels are {KIND_NUMBERS[head.kind]}."
            )
        if (bad := labels < 0).any():
            first = _first(bad)
            raise BadProblem(
                f"{what} holds {int(bad.sum()):,} below 0, the first at index {list(first)}, which is "
                f"{labels[first]:g}, but {head.kind} labels are {KIND_NUMBERS[head.kind]}; a missing label has the "
                "weight 0."
            )
    if head.kind == "multilabel" and (bad := (labels < 0) | (labels > 1)).any():
        first = _first(bad)
        raise BadProblem(f"{what} has {labels[first]:g} at index {list(first)}, but multilabel labels are from 0 to 1.")
    if head.kind == "classes" or (head.kind == "distribution" and labels.dtype.kind in "biu"):
        return labels if labels.dtype == np.uint8 else labels.astype(np.int32)
    return labels.astype(np.float64 if labels.dtype == np.float64 else np.float32)


def _of_shape(labels: Array, head: Head, shape: tuple[int, ...], what: str, name: str) -> Array:
    """Labels of the shape (n, *shape) or, class indices, (n, *places); an axis of one is added or taken as needed."""
    places, size = places_of(head, shape), len(labels)
    whole = labels.dtype.kind in "iu" and head.kind in ("classes", "distribution")
    wanted = (size, *places) if whole else (size, *shape)
    if labels.shape != wanted and labels.size == np.prod(wanted) and labels.ndim in (len(wanted) - 1, len(wanted) + 1):
        squeezed = [side for side in labels.shape if side != 1] == [side for side in wanted if side != 1]
        labels = labels.reshape(wanted) if squeezed else labels
    if labels.shape != wanted:
        output, labelled = (str(("n", *sides)).replace("'n'", "n") for sides in (shape, wanted[1:]))
        raise BadProblem(
            f"{what} has the shape {labels.shape}, but the model's output {name!r} is {output}, whose {head.kind} "
            f"labels are {labelled}."
        )
    if whole:
        require_classes(what.partition(" of ")[0], labels, shape[-1], what.partition(" of ")[2])
    return labels


def _over_places(weights: Array, labels: Array, head: Head, shape: tuple[int, ...], what: str) -> Array:
    wanted = (len(labels), *places_of(head, shape))
    if weights.ndim == len(wanted) + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    if weights.ndim <= len(wanted) and all(a in (1, b) for a, b in zip(weights.shape, wanted, strict=False)):
        return np.ascontiguousarray(np.broadcast_to(_aligned(weights, len(wanted)), wanted))
    raise BadProblem(
        f"{what} has the shape {weights.shape}, but must be ({wanted[0]},) or {wanted}, one for each label."
    )


def _aligned(array: Array, ndim: int) -> Array:
    """With axes of one behind its own."""
    return array.reshape(array.shape + (1,) * (ndim - array.ndim))


def _first(bad: Any) -> tuple[int, ...]:  # noqa: ANN401 (an array of truth values)
    return tuple(int(index) for index in np.unravel_index(int(bad.argmax()), bad.shape))
