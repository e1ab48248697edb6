"""``jointdec.fit`` on a model that it does not know: on data that fit, and on data that do not."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from contender import Contender

from jointdec import fit
from zoo.models import compiled_model
from zoo.problem import BATCH, Zoo
from zoo.turns import EPOCHS, in_turns

OPTIONS: dict[str, Any] = {
    "batch_size": BATCH,
    "epochs": EPOCHS,
    "shuffle": False,
    "verbose": 0,
    "tracking": "none",
}


def whole(problem: Zoo) -> Contender:
    """All data at hand, as `fit` with defaults has them."""
    model, (x, y, w) = compiled_model(problem), problem.data
    return in_turns(problem.steps, lambda turns: fit(model, x, y, sample_weight=w, callbacks=[turns], **OPTIONS))


def streamed(problem: Zoo) -> Contender:
    """The same data in files, mapped into memory, of which a quarter may be used."""
    model, folder = compiled_model(problem), tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    x, y, w = _mapped(problem.data, Path(folder.name))

    def train(turns: keras.callbacks.Callback) -> object:
        assert folder  # it lives as long as this function
        quarter = sum(array.nbytes for array in keras.tree.flatten(problem.data)) // 4
        return fit(model, x, y, sample_weight=w, callbacks=[turns], memory=quarter, **OPTIONS)

    return in_turns(problem.steps, train)


def _mapped(data: Any, folder: Path) -> Any:  # noqa: ANN401 (a tree of arrays)
    """The arrays of a tree as files, mapped into memory."""
    leaves = keras.tree.flatten(data)
    for number, leaf in enumerate(leaves):
        np.save(folder / f"{number}.npy", leaf)
    mapped = [np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(len(leaves))]
    return keras.tree.pack_sequence_as(data, mapped)
