"""Read the SMILES out of a user's file, and say in one sentence when it is not such a file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from jointdec.errors import UserError, did_you_mean

KINDS = (".smi", ".csv")


class Record(NamedTuple):
    """One record of a source: its line (1-based) and the text that should be a SMILES."""

    line: int
    text: str


def read_records(path: Path, column: str) -> list[Record]:
    """Every record of a ``.smi`` file (SMILES first on each line) or of one column of a ``.csv`` file.

    Blank lines are ignored, and in a ``.smi`` file those that begin with ``#``.

    Raises:
        UserError: the file is missing, a folder, of another kind, not text, empty or no CSV, or lacks the
            column.
    """
    if path.suffix.lower() not in KINDS:
        raise UserError(f"data.path is '{path}', but must be a {' or a '.join(KINDS)} file.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            records = list(_first_words(lines) if path.suffix.lower() == ".smi" else column_of(lines, column))
    except FileNotFoundError as error:
        raise UserError(f"data.path is '{path}', but there is no such file.") from error
    except IsADirectoryError as error:
        raise UserError(f"data.path is '{path}', which is a folder: name a {' or a '.join(KINDS)} file.") from error
    except OSError as error:
        raise UserError(f"data.path is '{path}', which cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"data.path is '{path}', which is not UTF-8 text: save it as UTF-8.") from error
    except csv.Error as error:
        raise UserError(f"data.path is '{path}', which is not a well-formed CSV file: {error}.") from error
    if not records:
        raise UserError(f"data.path is '{path}', which holds no record: it needs one molecule a line.")
    return records


def column_of(lines: Iterable[str], column: str) -> Iterator[Record]:
    """The cells of one column of a CSV file whose first row names the columns; a missing cell is empty.

    Raises:
        UserError: no such column.
        csv.Error: the file is not well formed.
    """
    rows = csv.reader(lines, strict=True)
    names = [name.strip() for name in next(rows, [])]
    if column not in names:
        hint = did_you_mean(column, names)
        known = ", ".join(names) or "none"
        raise UserError(f"data.column is {column!r}{hint}, but the file's columns are: {known}.")
    index = names.index(column)
    for row in rows:
        if row:
            yield Record(rows.line_num, row[index].strip() if index < len(row) else "")


def _first_words(lines: Iterable[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        words = line.split(maxsplit=1)
        if words and not words[0].startswith("#"):
            yield Record(number, words[0])
