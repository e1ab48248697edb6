"""What a trained decoder is judged by: pictures of test molecules, and molecules of its own making."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jointdec.dataset import Dataset
from jointdec.errors import UserError
from jointdec.objective.formulation import Formulation
from jointdec.problems.molecules.dataset import MoleculeDataset
from jointdec.problems.molecules.generation import Generated, generation
from jointdec.problems.molecules.reconstruction import decode

GENERATED = 10_000  # molecules drawn from the trained decoder
SHOWN = 8  # test molecules in the picture of decoded ones


def judge_molecules(formulation: Formulation, dataset: Dataset, seed: int, folder: Path) -> Mapping[str, float]:
    """Draw test molecules beside their decoding; generate new ones: ``generate/…`` metrics and a picture.

    Data that are no molecules are not judged.
    """
    from jointdec.problems.molecules.pictures import decoded_figure, generated_figure, save_decoded

    assert isinstance(dataset, MoleculeDataset)
    if not dataset.is_molecules:
        return {}
    test = dataset.test.rows(slice(SHOWN))
    decoded = decode(**formulation.logits(test.x))
    true = test.y["nodes"].astype(np.uint8), test.y["edges"].astype(np.uint8)
    figure = decoded_figure(test.names, true, {"decoded": decoded}, "Test molecules and their decoding")
    figure.savefig(folder / "decoded.png")
    save_decoded(test.names, true, decoded, folder / "decoded.npz")
    generated = generate(formulation, dataset, seed)
    generated_figure(generated.counts, f"From {GENERATED:,} draws").savefig(folder / "generated.png")
    return {f"generate/{name}": value for name, value in generated.metrics.items()}


def generate(formulation: Formulation, dataset: MoleculeDataset, seed: int) -> Generated:
    """Decode random draws from the features' Gaussian, and judge the molecules."""
    assert dataset.sample_features is not None
    features = dataset.sample_features(GENERATED, np.random.default_rng([seed, 0x9E4]))  # a stream of its own
    return generation(*decode(**formulation.logits(features)), dataset.train.names)


def require_drawing() -> None:
    """Find out before the training whether the pictures after it can be drawn.

    Raises:
        UserError: RDKit lacks a library of the system.
    """
    try:
        from rdkit.Chem.Draw import rdMolDraw2D  # noqa: F401 (only whether it loads)
    except ImportError as error:
        raise UserError(
            f"RDKit cannot draw molecules ({error}): install the system libraries that it links to, "
            "on Debian with apt-get install libxrender1 libxext6 libexpat1."
        ) from error
