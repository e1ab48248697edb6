"""Reconstruction and generation as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def write(rows: Sequence[Mapping[str, str]], folder: Path) -> None:
    """The results' tables and the README's part."""
