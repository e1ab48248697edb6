"""The source's Gram product as it was first written, kept because it is wrong: see conf/model/two_tower_dot.yaml."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from jointdec.problems.molecules.sizes import EDGE_CLASSES, NODES


def dot_gram(x: Any) -> Any:  # noqa: ANN401 (a backend's tensor)
    """K.dot of (B, 4, 9, 15) with (B, 4, 15, 9): declared as (B, 4, 9, 9), in truth (B, 4, 9, B, 4, 9)."""
    return layers.Lambda(
        lambda x: ops.dot(x, ops.transpose(x, (0, 1, 3, 2))),
        output_shape=(EDGE_CLASSES, NODES, NODES),
        dtype=x.dtype,
        name="edges_gram_dot",
    )(x)
