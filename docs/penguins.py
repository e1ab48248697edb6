"""Species, sex and mass of penguins: python -m jointdec.run problem=docs/penguins.py model.width=64."""

from importlib.resources import files

import keras
import numpy as np
import pandas as pd

import jointdec

MEASURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm"]


def data(path: str = str(files("jointdec") / "problems/penguins/penguins.csv")):
    table = pd.read_csv(path)
    centre, scale = np.array([44, 17, 200]), np.array([5, 2, 14])  # mm
    x = ((table[MEASURES] - centre) / scale).fillna(0).join(pd.get_dummies(table["island"])).astype("float32")
    y = {
        "species": table["species"].astype("category").cat.codes,
        "sex": table["sex"].astype("category").cat.codes,  # -1 where it is missing
        "mass": table["body_mass_g"] / 1000,  # kg
    }
    weights = {"sex": table["sex"].notna(), "mass": table["body_mass_g"].notna()}  # 0: missing, not counted
    return x, y, weights


def model(width: int = 32):
    x = keras.Input((6,))
    shared = keras.layers.Dense(width, activation="relu")(x)
    sizes = {"species": 3, "sex": 2, "mass": 1}
    return keras.Model(x, {head: keras.layers.Dense(size, name=head)(shared) for head, size in sizes.items()})


problem = jointdec.Problem(
    data=data,
    model=model,
    heads={
        "species": jointdec.Head("classes"),
        "sex": jointdec.Head("classes"),
        "mass": jointdec.Head("real", loss="mse", metrics=["mae"]),
    },
    metrics={"exact": "all_right"},
)
