"""The answer's NaN in tables and a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write(trials: list[dict[str, Any]], watched: list[dict[str, float]], folder: Path) -> None:
    """The results' tables, the figure and the README's part."""
