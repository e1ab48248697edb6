"""What the scripts in experiments/ share: where they write, tables as CSV, and their part of a README."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Asked(NamedTuple):
    """What a command line asks for: few and short trials or all, and into which folder."""

    quick: bool
    folder: Path


def parse_arguments(description: str | None, here: Path) -> Asked:
    """Read ``quick=true`` and ``--output``; the folder and its results/ are there afterwards.

    Args:
        description: the script's docstring, for ``--help``.
        here: the script's folder, where its README.md is. A quick run does not write there, but into ``here/quick``.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quick", nargs="?", choices=["quick=true"], help="few and short trials")
    parser.add_argument("--output", type=Path, help="folder of the studies and results; by default here, or quick/")
    given = parser.parse_args()
    quick = given.quick is not None
    folder: Path = (given.output or (here / "quick" if quick else here)).absolute()
    (folder / "results").mkdir(parents=True, exist_ok=True)
    return Asked(quick, folder)


def write_table(rows: Sequence[Mapping[str, object]], file: Path, columns: Sequence[str] | None = None) -> None:
    """Write rows as CSV; the columns are those of the first row, or these."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.DictWriter(opened, columns or list(rows[0]), lineterminator="\n", extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)


def kept_table(file: Path, make: Callable[[], Sequence[Mapping[str, object]]]) -> list[dict[str, str]]:
    """The rows of a table that takes long: made and written if the file is not there yet, then read."""
    if not file.is_file():
        write_table(make(), file)
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def write_section(text: str, readme: Path, begin: str, end: str) -> None:
    """Put a text between two markers of a README, with a blank line at each end; without the README do nothing."""
    if readme.is_file():
        before, _, rest = readme.read_text(encoding="utf-8").partition(begin)
        readme.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")
