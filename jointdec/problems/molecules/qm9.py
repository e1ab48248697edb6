"""All of QM9, read from the package qm9pack, encoded once and then read from a cache on disk.

qm9pack itself is not imported: its import needs pkg_resources, which current setuptools no longer has. Its
data folder holds QM9 as CSV files with a column SMILES: 130,831 molecules, those of the published 133,885
whose geometry agrees with their SMILES.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.dataset import Progress, Split
from jointdec.errors import UserError
from jointdec.problems.molecules import records, scattering, smiles, splits
from jointdec.problems.molecules.config import Qm9Config
from jointdec.problems.molecules.dataset import MoleculeDataset, molecules_split
from jointdec.problems.molecules.scattering import Encoder

COLUMN = "SMILES"
SPLIT_FIELDS = ("features", "nodes", "edges")
ENCODER_FIELDS = ("mean", "axes", "variances")
Arrays = dict[str, npt.NDArray[Any]]


def qm9(config: Qm9Config, progress: Progress) -> MoleculeDataset:
    """QM9, encoded: from the cache if it is there, else encoded now and written there.

    Raises:
        UserError: qm9pack is not installed or not as expected, or the cache cannot be written.
    """
    parts = csv_files()
    cached = Path(config.cache).expanduser() / f"qm9-{cache_key(parts, config)}.npz"
    arrays = _read(cached) or _encode_into(cached, parts, config, progress)
    encoder = Encoder(config.scattering, config.normalization, *(arrays[name] for name in ENCODER_FIELDS))
    train, val, test = (_split(arrays, name) for name in splits.NAMES)
    return MoleculeDataset(
        name=config.name,
        source=f"QM9, all {len(train) + len(val) + len(test):,} molecules in qm9pack",
        train=train,
        val=val,
        test=test,
        sample_features=encoder.sample,
    )


def csv_files(wanted: str = "data=qm9") -> list[Path]:
    """The CSV files that hold the SMILES, in the order of QM9.

    Args:
        wanted: what needs them, for messages.

    Raises:
        UserError: qm9pack is not installed, or without its data.
    """
    package = importlib.util.find_spec("qm9pack")
    if package is None or package.origin is None:
        raise UserError(f'{wanted} needs the package qm9pack: pip install "jointdec[qm9]".')
    found = sorted((Path(package.origin).parent / "data").glob("qm9_part*.csv"))
    if not found:
        raise UserError('qm9pack is installed without its data: pip install --force-reinstall "jointdec[qm9]".')
    return found


def smiles_records(parts: list[Path]) -> list[records.Record]:
    """Every record of QM9; a record's line counts from the start of its own file."""
    found: list[records.Record] = []
    for part in parts:
        found += records.read_records(part, COLUMN)
    return found


def cache_key(parts: list[Path], config: Qm9Config) -> str:
    """A name for everything that determines the encoded arrays: data, options, code and libraries."""
    sha = hashlib.sha256()
    code = [Path(str(module.__file__)) for module in (records, scattering, smiles, splits)]
    for path in (*parts, *code, Path(__file__)):
        with path.open("rb") as file:
            sha.update(hashlib.file_digest(file, "sha256").digest())
    versions = [f"{package} {importlib.metadata.version(package)}" for package in ("rdkit", "numpy")]
    sha.update(" ".join([config.scattering, config.normalization, *versions]).encode())
    return sha.hexdigest()[:16]


def _encode_into(cached: Path, parts: list[Path], config: Qm9Config, progress: Progress) -> Arrays:
    """Encode QM9 and write it under its name in one step; a folder that forbids it is found first."""
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent, prefix="unfinished-") as unfinished:
            arrays = _encode(parts, config, progress)
            written = Path(unfinished) / cached.name
            np.savez(written, allow_pickle=False, **arrays)
            written.replace(cached)
    except OSError as error:
        raise UserError(
            f"data.cache is '{config.cache}', but no file can be written there ({error.strerror}): "
            "name a folder that you may write to."
        ) from error
    return arrays


def _encode(parts: list[Path], config: Qm9Config, progress: Progress) -> Arrays:
    found = smiles.parse_records(smiles_records(parts), progress)
    if found.skipped:
        first = found.skipped[0]
        raise UserError(
            f"qm9pack holds {len(found.skipped)} records that are not of QM9, the first {first.text!r} "
            f'({first.reason}): pip install --force-reinstall "jointdec[qm9]".'
        )
    encoded = splits.encode_splits(found, config, progress)
    arrays: Arrays = {name: getattr(encoded.encoder, name) for name in ENCODER_FIELDS}
    for name in splits.NAMES:
        split: Split = getattr(encoded, name)
        values = (split.x, *split.y.values())
        arrays |= {f"{name}/{field}": array for field, array in zip(SPLIT_FIELDS, values, strict=True)}
        arrays[f"{name}/smiles"] = np.frombuffer("\n".join(split.names).encode(), np.uint8)
    return arrays


def _split(arrays: Arrays, name: str) -> Split:
    names = tuple(arrays[f"{name}/smiles"].tobytes().decode().split("\n"))
    features, nodes, edges = (arrays[f"{name}/{field}"] for field in SPLIT_FIELDS)
    return molecules_split(features, nodes, edges, names)


def _read(cached: Path) -> Arrays | None:
    """The arrays; None when the file is not there or damaged."""
    try:
        with zipfile.ZipFile(cached) as archive:
            damaged = archive.testzip()
        with np.load(cached, allow_pickle=False) as file:
            arrays = dict(file)
    except Exception:  # whatever a damaged file makes zipfile and NumPy raise: it is written again
        return None
    return arrays if damaged is None and arrays.keys() == _names() else None


def _names() -> set[str]:
    return {
        *ENCODER_FIELDS,
        *(f"{name}/{field}" for name in splits.NAMES for field in (*SPLIT_FIELDS, "smiles")),
    }
