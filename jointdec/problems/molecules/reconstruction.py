"""How much of the held-out molecules comes back: the plain numpy truth of the reconstruction metrics.

The training program evaluates the same shares inside its compiled step; it is tested against this module.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.problems.molecules.sizes import NODES

Labels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

UPPER = np.triu_indices(NODES, k=1)
"""Rows and columns of the 36 pairs above the diagonal, in the order in which `pairs` lays them out."""


def decode(nodes_logits: Floats, edges_logits: Floats) -> tuple[Labels, Labels]:
    """The most likely class of every atom and every pair of atoms; the first one where classes tie.

    Only the strict upper triangle of the edge head is read: nothing else of it ever received a gradient.

    Args:
        nodes_logits: (n, 9, 5).
        edges_logits: (n, 9, 9, 4).

    Returns:
        Atom classes (n, 9) uint8, and bond classes (n, 9, 9) uint8, symmetric with a diagonal of 0 (no bond).

    Raises:
        ValueError: a logit that is read is NaN, which names no class.
    """
    pair_logits = pairs(edges_logits)
    if np.isnan(nodes_logits).any() or np.isnan(pair_logits).any():
        raise ValueError("The logits contain NaN, which names no class: decode only what a finite model says.")
    nodes = nodes_logits.argmax(-1).astype(np.uint8)
    edges = np.zeros((len(nodes), NODES, NODES), np.uint8)
    edges[:, *UPPER] = pair_logits.argmax(-1)
    return nodes, edges | edges.transpose(0, 2, 1)


def reconstruction(
    nodes_true: Labels | Floats, edges_true: Labels | Floats, nodes_logits: Floats, edges_logits: Floats
) -> dict[str, float]:
    """Shares of atoms, of pairs and of whole molecules that the decoder gets right.

    All 9 positions of a molecule count, the padding "none" as well, and all 36 pairs, "no bond" as well: a
    decoder that never sees a bond already gets most pairs right. Read ``exact`` beside the other two.
    A NaN logit makes its atom or pair wrong.

    Args:
        nodes_true: (n, 9) class indices, or dense (n, 9, 5), of which the largest entry is the class.
        edges_true: (n, 9, 9) class indices, or dense (n, 9, 9, 4).
        nodes_logits: (n, 9, 5).
        edges_logits: (n, 9, 9, 4).

    Returns:
        ``node_accuracy`` over n x 9 atoms, ``edge_accuracy`` over n x 36 pairs, and ``exact``, the share of
        the n molecules with all 9 atoms and all 36 pairs right.

    Raises:
        ValueError: there is no molecule.
    """
    if len(nodes_logits) == 0:
        raise ValueError("The shares of 0 molecules are not defined.")
    nodes_right = _right(nodes_true, nodes_logits)
    edges_right = _right(pairs(edges_true), pairs(edges_logits))
    return {
        "node_accuracy": float(nodes_right.mean()),
        "edge_accuracy": float(edges_right.mean()),
        "exact": float((nodes_right.all(1) & edges_right.all(1)).mean()),
    }


def pairs(edges: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The pairs above the diagonal: (n, 9, 9, ...) becomes (n, 36, ...), of the same dtype."""
    return edges[:, *UPPER]


def _right(true: npt.NDArray[Any], logits: Floats) -> npt.NDArray[np.bool_]:
    classes = true.argmax(-1) if true.ndim == logits.ndim else true
    right: npt.NDArray[np.bool_] = (logits.argmax(-1) == classes) & ~np.isnan(logits).any(-1)
    return right
