"""Random numbers of any declared size, to try a pipeline out: three heads of different kinds, nothing worth knowing.

The labels follow from the features by a random linear map with noise, so a loss that does not fall is a mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jointdec.errors import UserError
from jointdec.problem import Head, Problem

SEED = 0  # of the data, not of the run
NOISE = 0.1  # standard deviation of what is added to the labels' maps


def data(
    rows: int = 1000, features: int = 16, classes: int = 5, outputs: int = 3, missing: float = 0.0
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Features from N(0, 1), and labels: the class of the largest, the values, and their signs, of linear maps.

    Args:
        rows: examples in all.
        features: numbers of an example.
        classes: of the head ``label``.
        outputs: numbers of the heads ``values`` and ``signs``.
        missing: share of each head's labels that is missing.
    """
    _check(missing, rows=rows, features=features, classes=classes, outputs=outputs)
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(rows, features)).astype(np.float32)

    def mapped(size: int) -> Any:  # noqa: ANN401 (an array)
        weights = rng.normal(size=(features, size)) / np.sqrt(features)
        return x @ weights + NOISE * rng.normal(size=(rows, size))

    y = {"label": mapped(classes).argmax(1), "values": mapped(outputs), "signs": mapped(outputs) > 0}
    weights = {head: (rng.random(rows) >= missing).astype(np.float32) for head in y} if missing else {}
    return x, y, weights


def model(features: int = 16, classes: int = 5, outputs: int = 3, width: int = 64) -> Any:  # noqa: ANN401 (a keras.Model)
    """One hidden layer that all heads share; the sizes are the data's."""
    import keras

    x = keras.Input((features,))
    shared = keras.layers.Dense(width, activation="relu", name="shared")(x)
    sizes = {"label": classes, "values": outputs, "signs": outputs}
    return keras.Model(x, {head: keras.layers.Dense(size, name=head)(shared) for head, size in sizes.items()})


def _check(missing: float, **sizes: int) -> None:
    for key, size in sizes.items():
        if size < 1:
            raise UserError(f"data.{key} is {size}, but must be at least 1; set it with data.{key}=...")
    if not 0 <= missing < 1:
        raise UserError(f"data.missing is {missing:g}, but must be from 0 to below 1; set it with data.missing=...")


@dataclass(frozen=True, eq=False)
class Gaussian(Problem):
    """The model's sizes follow the data's."""

    def groups(self) -> Mapping[str, Any]:
        """See `Problem.groups`."""
        groups = super().groups() or {}
        sizes = {key: f"${{data.{key}}}" for key in ("features", "classes", "outputs")}
        return {**groups, "model": {**groups["model"], **sizes}}


problem = Gaussian(
    data=data,
    model=model,
    heads={"label": Head("classes"), "values": Head("real"), "signs": Head("multilabel")},
)
