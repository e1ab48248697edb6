"""From a configuration to a `Dataset`: the one door to everything in this folder."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from jointdec.config import DataConfig
from jointdec.dataset import Progress, silent
from jointdec.errors import UserError
from jointdec.labels import NO_DISTRIBUTION, label_problem
from jointdec.problems.molecules.config import ArraysConfig, GaussianConfig, MoleculesConfig, Qm9Config
from jointdec.problems.molecules.dataset import HEADS, MoleculeDataset, require_usable

SAMPLE = Path(__file__).with_name("qm9_sample.smi")


def load(config: DataConfig, progress: Progress | None = None) -> MoleculeDataset:
    """Read, encode and split what the configuration names.

    Args:
        config: one of the classes in `jointdec.problems.molecules.config.DATA_CONFIGS`.
        progress: told ``(description, done, total)`` now and then.

    Raises:
        UserError: the data cannot be used as they are.
    """
    dataset = _load(config, progress or silent)
    for name, split in dataset.splits.items():
        require_usable(split, f"the {name} split of data={config.name}")
    warning = label_problem(dataset.train, HEADS, "the train split")
    return replace(dataset, warnings=(f"{warning} {NO_DISTRIBUTION}",) if warning else ())


def _load(config: DataConfig, progress: Progress) -> MoleculeDataset:
    if isinstance(config, GaussianConfig):
        from jointdec.problems.molecules.gaussian import gaussian

        return gaussian(config)
    if isinstance(config, ArraysConfig):
        from jointdec.problems.molecules.arrays import arrays

        return arrays(config)
    if isinstance(config, Qm9Config):
        from jointdec.problems.molecules.qm9 import qm9

        return qm9(config, progress)
    if isinstance(config, MoleculesConfig):
        return _molecules(config, progress)
    raise TypeError(f"no data for a {type(config).__name__}")


def _molecules(config: MoleculesConfig, progress: Progress) -> MoleculeDataset:
    from jointdec.problems.molecules.records import read_records
    from jointdec.problems.molecules.smiles import parse_records
    from jointdec.problems.molecules.splits import SMALLEST, encode_splits

    path = SAMPLE if config.path is None else Path(config.path).expanduser()
    molecules = parse_records(read_records(path, config.column), progress)
    distinct = len(set(molecules.smiles))
    if distinct < SMALLEST:
        reasons = Counter(skipped.reason for skipped in molecules.skipped).most_common(3)
        why = "".join(f"; {count} skipped: {reason}" for reason, count in reasons)
        raise UserError(
            f"data.path is '{path}', which holds {distinct} distinct molecules that fit, but at least "
            f"{SMALLEST} are needed (one each to train, validate and test){why}."
        )
    encoded = encode_splits(molecules, config, progress)
    return MoleculeDataset(
        name=config.name,
        source="the sample of QM9 that ships with jointdec" if config.path is None else str(path),
        train=encoded.train,
        val=encoded.val,
        test=encoded.test,
        skipped=molecules.skipped,
        sample_features=encoded.encoder.sample,
    )
