"""What the loops that start every step from Python share: labels as arrays, and an evaluation in chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.dataset import EDGE_CLASSES, NODE_CLASSES, Split
from jointdec.objective.formulation import CHUNK, Formulation, Tensor
from jointdec.problems.molecules.reconstruction import reconstruction

Arrays = dict[str, npt.NDArray[np.floating]]


def dense_labels(split: Split) -> Arrays:
    """Labels as distributions over the classes: nodes (n, 9, 5) and edges (n, 9, 9, 4), float32."""
    return {"nodes": _one_hot(split.nodes, NODE_CLASSES), "edges": _one_hot(split.edges, EDGE_CLASSES)}


def evaluate_batchwise(
    formulation: Formulation,
    split: Split,
    to_tensor: Callable[[Any, Any], Tensor],
    to_number: Callable[[Tensor], float],
) -> dict[str, float]:
    """Means over a split: loss, nodes, edges, node_accuracy, edge_accuracy, exact.

    Args:
        formulation: what to evaluate.
        split: what to evaluate it on.
        to_tensor: makes what the formulation takes for labels of an array and the logits' dtype.
        to_number: makes a float of what the formulation returns for a loss.
    """
    labels, sums = dense_labels(split), dict.fromkeys(("loss", "nodes", "edges"), 0.0)
    for first in range(0, len(split), CHUNK):
        rows = slice(first, first + CHUNK)
        heads = formulation.heads(split.features[rows])
        batch = {head: to_tensor(array[rows], heads[head].dtype) for head, array in labels.items()}
        for name, value in formulation.loss(batch, heads).items():
            sums[name] += len(split.features[rows]) * to_number(value)
    means = {name: total / len(split) for name, total in sums.items()}
    return means | reconstruction(split.nodes, split.edges, **formulation.logits(split.features))


def _one_hot(labels: npt.NDArray[Any], classes: int) -> npt.NDArray[np.float32]:
    if labels.dtype != np.uint8:
        return labels.astype(np.float32, copy=False)
    one_hot: npt.NDArray[np.float32] = np.eye(classes, dtype=np.float32)[labels]
    return one_hot
