"""What of a molecule comes out right, one share a molecule; their means are those of `reconstruction`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from jointdec.objective.measures import exact_dtype
from jointdec.problems.molecules.reconstruction import UPPER

Tensor = Any  # of whichever backend Keras runs on


def node_accuracy(y: Mapping[str, Tensor], y_pred: Mapping[str, Tensor]) -> Tensor:
    """The share of the 9 atoms."""
    return ops.mean(ops.cast(_right(y["nodes"], y_pred["nodes"]), exact_dtype()), axis=1)


def edge_accuracy(y: Mapping[str, Tensor], y_pred: Mapping[str, Tensor]) -> Tensor:
    """The share of the 36 pairs above the diagonal."""
    return ops.mean(ops.cast(_pairs(y, y_pred), exact_dtype()), axis=1)


def exact(y: Mapping[str, Tensor], y_pred: Mapping[str, Tensor]) -> Tensor:
    """1 where all atoms and all pairs are right."""
    nodes = ops.all(_right(y["nodes"], y_pred["nodes"]), axis=1)
    return ops.cast(ops.logical_and(nodes, ops.all(_pairs(y, y_pred), axis=1)), exact_dtype())


def _pairs(y: Mapping[str, Tensor], y_pred: Mapping[str, Tensor]) -> Tensor:
    right = _right(y["edges"], y_pred["edges"])
    rows, columns = UPPER
    flat = ops.reshape(right, (-1, right.shape[1] * right.shape[2]))
    return ops.take(flat, rows * right.shape[2] + columns, axis=1)


def _right(y: Tensor, y_pred: Tensor) -> Tensor:
    """Where the largest logit is the label's class; never where a logit is NaN."""
    same = ops.equal(ops.argmax(y_pred, axis=-1), ops.argmax(y, axis=-1))
    return ops.logical_and(same, ops.logical_not(ops.any(ops.isnan(y_pred), axis=-1)))
