"""344 penguins: species, sex and body mass from the measures of bill and flipper, island and year.

Heads of different kinds, and labels that are missing: 11 of sex, 2 of mass; they have the weight 0. The mass is in kg,
whose standard deviation is about 0.8, so its squared error needs no other scale. In two rows bill and flipper are
missing, too: they stand at the centre, 0, and the rows count for their species. ``docs/penguins.py`` is the same
problem as a user would write it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jointdec.problem import Head, Problem

TABLE = Path(__file__).with_name("penguins.csv")
SPECIES = ("Adelie", "Chinstrap", "Gentoo")
SEXES = ("female", "male")
ISLANDS = ("Biscoe", "Dream", "Torgersen")
# Rounded, so that nothing of the rows to be tested gets into the training: centre, and about one standard deviation
MEASURES = {"bill_length_mm": (44, 5), "bill_depth_mm": (17, 2), "flipper_length_mm": (200, 14), "year": (2008, 1)}


def data() -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Features (344, 7), labels, and weights of 0 where a label is missing."""
    import pandas as pd

    table = pd.read_csv(TABLE)
    measures = [((table[name] - centre) / scale).fillna(0) for name, (centre, scale) in MEASURES.items()]
    islands = [table["island"] == island for island in ISLANDS]
    labels = {
        "species": table["species"].map(SPECIES.index).to_numpy(),
        "sex": pd.Categorical(table["sex"], SEXES).codes,  # -1 where it is missing
        "mass": table["body_mass_g"].to_numpy() / 1000,
    }
    weights = {"sex": table["sex"].notna().to_numpy(), "mass": table["body_mass_g"].notna().to_numpy()}
    return np.stack([*measures, *islands], axis=1, dtype=np.float32), labels, weights


def model(width: int = 32) -> Any:  # noqa: ANN401 (a keras.Model)
    """One hidden layer that all heads share."""
    import keras

    x = keras.Input((len(MEASURES) + len(ISLANDS),))
    shared = keras.layers.Dense(width, activation="relu", name="shared")(x)
    sizes = {"species": len(SPECIES), "sex": len(SEXES), "mass": 1}
    return keras.Model(x, {head: keras.layers.Dense(size, name=head)(shared) for head, size in sizes.items()})


problem = Problem(
    data=data,
    model=model,
    heads={"species": Head("classes"), "sex": Head("classes"), "mass": Head("real")},
    metrics={"exact": "all_right"},
)
