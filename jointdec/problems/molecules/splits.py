"""Encode molecules and split them: the same molecules give the same splits, whatever their order in the file.

The distinct canonical SMILES stand in the order of their SHA-256: the first tenth is the test split, the
second the validation split, the rest is for training. No seed is involved, so all runs are judged on the same
molecules; duplicates share their SMILES and so their split.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from jointdec.dataset import Progress, Split
from jointdec.problems.molecules.config import EncodedConfig
from jointdec.problems.molecules.dataset import molecules_split
from jointdec.problems.molecules.scattering import Encoder
from jointdec.problems.molecules.smiles import Molecules

SMALLEST = 3  # distinct molecules: one for each split
NAMES = ("train", "val", "test")


class Encoded(NamedTuple):
    """The three splits and the encoder that was fitted on the first of them."""

    train: Split
    val: Split
    test: Split
    encoder: Encoder


def split_names(smiles: tuple[str, ...]) -> list[str]:
    """The split of each molecule: "train", "val" or "test"; at least `SMALLEST` of them are distinct."""
    ranked = sorted(set(smiles), key=fingerprint)
    held_out = max(1, len(ranked) // 10)
    names = ["test"] * held_out + ["val"] * held_out + ["train"] * (len(ranked) - 2 * held_out)
    name_of = dict(zip(ranked, names, strict=True))
    return [name_of[text] for text in smiles]


def fingerprint(smiles: str) -> bytes:
    """What molecules are ordered by."""
    return hashlib.sha256(smiles.encode()).digest()


def encode_splits(molecules: Molecules, config: EncodedConfig, progress: Progress) -> Encoded:
    """Split, fit the encoder on the training molecules alone, and encode all of them with it.

    Within each split, too, molecules stand in the order of their fingerprint.
    """
    names = np.array(split_names(molecules.smiles))
    order = np.array(sorted(range(len(names)), key=lambda i: fingerprint(molecules.smiles[i])))
    rows = {name: order[names[order] == name] for name in NAMES}
    encoder = Encoder.fit(
        molecules.nodes[rows["train"]],
        molecules.edges[rows["train"]],
        scattering=config.scattering,
        normalization=config.normalization,
        progress=progress,
    )
    splits = {}
    for name, chosen in rows.items():
        nodes, edges = molecules.nodes[chosen], molecules.edges[chosen]
        features = encoder.encode(nodes, edges, progress)
        splits[name] = molecules_split(features, nodes, edges, tuple(molecules.smiles[i] for i in chosen))
    return Encoded(**splits, encoder=encoder)
