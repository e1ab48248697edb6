"""What every contender gets: the same molecules, the same batches in the same order, the same initial weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from contender import Contender, Round  # noqa: F401 (the contenders take them from here)
from hydra import compose, initialize_config_dir

from jointdec.config import Config, conf_folder, parse
from jointdec.dataset import Dataset, Split
from jointdec.problems.molecules.architecture import Weights, initial_weights
from jointdec.problems.molecules.dataset import molecules_split
from jointdec.problems.molecules.sizes import EDGE_CLASSES, NODE_CLASSES
from jointdec.training.order import batch_order

FIELDS = ("features", "nodes", "edges")


@dataclass(frozen=True)
class Problem:
    """A data set and how to train on it.

    Attributes:
        molecules: features (n, 135) float32, nodes (n, 9) uint8, edges (n, 9, 9) uint8.
        batch: molecules a step; only jointdec's own program is given an n that it does not divide.
    """

    molecules: Split
    batch: int

    @cached_property
    def config(self) -> Config:
        """The configuration of jointdec: model, loss weights, learning rate, epsilon, seed."""
        return compose_config(f"training.batch_size={self.batch}")

    @property
    def weights(self) -> Weights:
        """Where every contender starts; float64."""
        return initial_weights(self.config.model, self.config.seed)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.molecules) // self.batch)

    def batches(self, epoch: int) -> npt.NDArray[np.int32]:
        """The epoch's molecules by their numbers, (steps, batch)."""
        return batch_order(self.config.seed, epoch, len(self.molecules)).reshape(self.steps, self.batch)

    def one_hot(self) -> dict[str, npt.NDArray[np.float32]]:
        """Labels as Keras and TF1 want them: nodes (n, 9, 5), edges (n, 9, 9, 4)."""
        return {
            "nodes": np.eye(NODE_CLASSES, dtype=np.float32)[self.molecules.y["nodes"]],
            "edges": np.eye(EDGE_CLASSES, dtype=np.float32)[self.molecules.y["edges"]],
        }

    def pack(self, file: Path) -> dict[str, Any]:
        """Write the molecules; what a worker is asked with, see worker.py."""
        save(self.molecules, file)
        return {"file": str(file), "batch": self.batch}

    def dataset(self) -> Dataset:
        """For jointdec's own loops: validation on a tenth as many molecules as are trained on."""
        tenth = rows(self.molecules, np.arange(max(1, len(self.molecules) // 10)))
        return Dataset(self.molecules, tenth, tenth, "throughput", "the sample, repeated")


def compose_config(*overrides: str) -> Config:
    """What ``python -m jointdec.run +experiment=split_loss`` composes."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return parse(compose("config", overrides=["+experiment=split_loss", *overrides]))


def rows(split: Split, indices: npt.NDArray[np.integer]) -> Split:
    """These molecules alone; an index may occur more than once."""
    return split.rows(indices)


def repeated(split: Split, size: int) -> Split:
    """So many molecules, from the start again where there are not enough: speed does not depend on what they are."""
    return rows(split, np.arange(size) % len(split))


def save(split: Split, file: Path) -> None:
    """Write a file for `read`."""
    np.savez(file, allow_pickle=False, **dict(zip(FIELDS, (split.x, *split.y.values()), strict=True)))


def read(file: Path) -> Split:
    """What `save` wrote."""
    with np.load(file, allow_pickle=False) as arrays:
        return molecules_split(*(arrays[name] for name in FIELDS))
