"""What the two commands of this folder share: their flags, and how they report progress."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Asked(NamedTuple):
    """A small measurement or the whole, and the folder of its results, which is there."""

    quick: bool
    results: Path


def parse_arguments(description: str | None) -> Asked:
    """Read ``--quick`` and ``--results``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small measurement, which leaves the README alone")
    parser.add_argument("--results", type=Path, help="folder of the results; results/ here, and a new one for --quick")
    given = parser.parse_args()
    results: Path = given.results or (Path(tempfile.mkdtemp()) if given.quick else HERE / "results")
    results.mkdir(parents=True, exist_ok=True)
    return Asked(given.quick, results)


def tell(text: str) -> None:
    """Report progress."""
    print(f"throughput: {text}", file=sys.stderr, flush=True)
