"""Eight small models with two heads each: their data and their initial weights, the same for every framework.

Heads: ``cls`` (3 classes, sparse cross-entropy from logits) and ``reg`` (one number, squared error), where half of the
rows have no label for ``reg``, that is a sample weight of 0:

    loss = sum_i w_cls,i CE_i / B + 0.5 sum_i w_reg,i (y_i - p_i)^2 / B
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

BATCH = 50
LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7  # Adam's
LOSS_WEIGHTS = {"cls": 1.0, "reg": 0.5}
DROPOUT = 0.2
NORM_EPSILON, NORM_MOMENTUM = 1e-3, 0.99  # batch and layer normalisation as Keras has them
VOCABULARY, HEADS, KEY = 1000, 4, 8
SHIFT, SHRINK = 0.01, 0.5  # custom_step adds this to its inputs, and multiplies its gradients by that

Arrays = dict[str, npt.NDArray[Any]]
Shapes = dict[str, tuple[int, ...]]


class Data(NamedTuple):
    """Inputs by name, labels and sample weights by head; the first dimension of each is that of the rows."""

    x: Arrays
    y: Arrays
    w: Arrays

    @property
    def bytes(self) -> int:
        """Of all arrays."""
        return sum(array.nbytes for arrays in self for array in arrays.values())


def dense(name: str, inputs: int, units: int) -> Shapes:
    """The weights of a Dense layer."""
    return {f"{name}/kernel": (inputs, units), f"{name}/bias": (units,)}


def scale(name: str, size: int) -> Shapes:
    """The trained weights of a normalisation."""
    return {f"{name}/gamma": (size,), f"{name}/beta": (size,)}


MLP = dense("hidden", 10, 64) | scale("norm", 64)
ATTENTION = {
    f"attention/{name}/{kind}": shape
    for name in ("query", "key", "value")
    for kind, shape in {"kernel": (HEADS * KEY, HEADS, KEY), "bias": (HEADS, KEY)}.items()
} | {"attention/attention_output/kernel": (HEADS, KEY, HEADS * KEY), "attention/attention_output/bias": (HEADS * KEY,)}

# by model: the shapes of its inputs, the weights of its trunk by Keras's paths, and the width that the heads see
MODELS: dict[str, tuple[Shapes, Shapes, int]] = {
    "mlp": ({"x": (10,)}, MLP, 64),
    "mlp_dropout": ({"x": (10,)}, MLP, 64),
    "custom_step": ({"x": (10,)}, MLP, 64),
    "two_inputs": ({"a": (10,), "b": (6,)}, dense("hidden", 16, 64), 64),
    "embedding": ({"x": (20,)}, {"embedding/embeddings": (VOCABULARY, 16)}, 16),
    "lstm": (
        {"x": (20, 8)},
        {
            "lstm/lstm_cell/kernel": (8, 128),
            "lstm/lstm_cell/recurrent_kernel": (32, 128),
            "lstm/lstm_cell/bias": (128,),
        },
        32,
    ),
    "attention": ({"x": (20, 8)}, dense("hidden", 8, 32) | ATTENTION | scale("norm", 32), 32),
    "cnn": (
        {"x": (28, 28, 1)},
        {
            "first/kernel": (3, 3, 1, 16),
            "first/bias": (16,),
            "second/kernel": (3, 3, 16, 32),
            "second/bias": (32,),
        },
        11 * 11 * 32,
    ),
}


@dataclass(frozen=True)
class Zoo:
    """One of the models and so many rows of noise to train it on."""

    model: str
    rows: int = 5000

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self.rows // BATCH

    @cached_property
    def data(self) -> Data:
        """The same in every process."""
        rng = np.random.default_rng(0)
        x: Arrays = {}
        for name, shape in MODELS[self.model][0].items():
            if self.model == "embedding":
                x[name] = rng.integers(0, VOCABULARY, (self.rows, *shape), dtype=np.int32)
            else:
                x[name] = rng.standard_normal((self.rows, *shape), dtype=np.float32)
        y = {"cls": rng.integers(0, 3, self.rows), "reg": rng.standard_normal((self.rows, 1), dtype=np.float32)}
        w = {"cls": np.ones(self.rows, np.float32), "reg": (rng.random(self.rows) > 0.5).astype(np.float32)}
        return Data(x, y, w)

    @cached_property
    def weights(self) -> Arrays:
        """Where every contender starts, by Keras's paths: trained weights only."""
        _, trunk, width = MODELS[self.model]
        rng = np.random.default_rng(1)
        shapes = trunk | dense("cls", width, 3) | dense("reg", width, 1)
        return {path: _initial(path, shape, rng) for path, shape in shapes.items()}

    def pack(self, file: Path) -> dict[str, Any]:
        """What a worker is asked with; nothing needs a file."""
        return asdict(self)


def _initial(path: str, shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Biases 0, scales 1, everything else uniform as Glorot has it."""
    if len(shape) == 1 or path.endswith("bias"):
        return np.full(shape, float(path.endswith("gamma")), np.float32)
    limit = np.sqrt(6 / (np.prod(shape[:-1]) + np.prod(shape[:-2]) * shape[-1]))
    return rng.uniform(-limit, limit, shape).astype(np.float32)
