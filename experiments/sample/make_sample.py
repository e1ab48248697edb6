"""Write jointdec/problems/molecules/qm9_sample.smi again, byte for byte: see the README beside this file."""

from __future__ import annotations

from jointdec.dataset import silent
from jointdec.problems.molecules.load import SAMPLE
from jointdec.problems.molecules.qm9 import csv_files, smiles_records
from jointdec.problems.molecules.smiles import parse_records
from jointdec.problems.molecules.splits import fingerprint

SIZE = 5000
HEADER = """\
# 5,000 molecules of QM9, one canonical non-isomeric SMILES a line, in the order of QM9.
# Chosen: those whose canonical SMILES has the smallest SHA-256. Written by experiments/sample/make_sample.py.
# QM9: R. Ramakrishnan, P. O. Dral, M. Rupp, O. A. von Lilienfeld, Quantum chemistry structures and properties
# of 134 kilo molecules, Scientific Data 1, 140022 (2014), doi:10.1038/sdata.2014.22; the data are on figshare
# under CC0, doi:10.6084/m9.figshare.c.978904. Read from the CSV files of qm9pack 1.0.3 (PyPI, MIT licence).
"""


def sample() -> str:
    """The file's text."""
    every = dict.fromkeys(parse_records(smiles_records(csv_files()), silent).smiles)
    chosen = set(sorted(every, key=fingerprint)[:SIZE])
    return HEADER + "".join(f"{smiles}\n" for smiles in every if smiles in chosen)


if __name__ == "__main__":
    SAMPLE.write_text(sample(), encoding="utf-8", newline="\n")
