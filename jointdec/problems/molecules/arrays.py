"""The user's own numbers, where no molecules and no encoder are wanted."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.dataset import Split
from jointdec.errors import UserError
from jointdec.labels import label_problem
from jointdec.problems.molecules.config import ArraysConfig
from jointdec.problems.molecules.dataset import HEADS, MoleculeDataset, molecules_split, require_usable

NAMES = ("features", "nodes", "edges")
NODES, EDGES = 2, 3  # dimensions of labels that are class indices
SMALLEST = 3  # rows: one for each split
SEED = 0  # of the split, not of the run: all runs are judged on the same rows
FORMAT = "an .npz file with the arrays features (n, 135), nodes (n, 9) or (n, 9, 5) and edges (n, 9, 9) or (n, 9, 9, 4)"


def arrays(config: ArraysConfig) -> MoleculeDataset:
    """Read and check the file; a tenth of its rows each, drawn with a fixed seed, for validation and testing.

    Raises:
        UserError: the file is missing or not as it must be, or its labels are no distributions.
    """
    if config.path is None:
        raise UserError(f"data=arrays needs data.path=my.npz, {FORMAT}.")
    path = Path(config.path).expanduser()
    whole = _read(path)
    whole = require_usable(whole, f"'{path}'")
    if problem := label_problem(whole, HEADS, f"'{path}'"):
        raise UserError(f"{problem} Give class indices, or a distribution over the classes for each place.")
    if len(whole) < SMALLEST:
        raise UserError(f"data.path is '{path}', which holds {len(whole)} rows, but at least {SMALLEST} are needed.")
    order = np.random.default_rng(SEED).permutation(len(whole))
    held_out = max(1, len(whole) // 10)
    test, val, train = (_rows(whole, part) for part in np.split(order, [held_out, 2 * held_out]))
    return MoleculeDataset(name=config.name, source=str(path), train=train, val=val, test=test)


def _read(path: Path) -> Split:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile) or not set(NAMES) <= set(file.files):
                raise UserError(f"data.path is '{path}', but must be {FORMAT}.")
            return molecules_split(file["features"], file["nodes"], file["edges"])
    except FileNotFoundError as error:
        raise UserError(f"data.path is '{path}', but there is no such file.") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError(f"data.path is '{path}', which cannot be read ({error}): it must be {FORMAT}.") from error


def _rows(split: Split, rows: npt.NDArray[np.intp]) -> Split:
    chosen = split.rows(rows)
    nodes, edges = _compact(chosen.y["nodes"], NODES), _compact(chosen.y["edges"], EDGES)
    return molecules_split(chosen.x.astype(np.float32), nodes, edges)


def _compact(labels: npt.NDArray[Any], dimensions: int) -> npt.NDArray[Any]:
    """Class indices as bytes, distributions as float32."""
    return labels.astype(np.uint8 if labels.ndim == dimensions else np.float32)
