"""What jointdec set out to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from floor import floor_ms
from rows import Row, find

from jointdec.problems.molecules.config import ModelConfig


class Verdict(NamedTuple):
    """An aim, what was measured, and the limit; ``measured`` is None where that was not possible."""

    aim: str
    measured: float | None
    limit: float
    at_most: bool
    unit: str = ""

    @property
    def word(self) -> str:
        """pass, FAIL or not measured."""
        if self.measured is None:
            return "not measured"
        return "pass" if (self.measured <= self.limit) == self.at_most else "FAIL"


def verdicts(rows: Sequence[Row], model: ModelConfig, batches: Sequence[int]) -> list[Verdict]:
    """Every aim, at the batch sizes that it is about, where these were measured."""
    judged = []
    if 50 in batches:
        judged += [
            Verdict("a step against Keras fit with defaults, batch 50", _over(rows, "keras", 50), 0.30, at_most=True),
            Verdict("a step against JAX's lax.scan, batch 50", _over(rows, "jax_scan", 50), 0.90, at_most=True),
        ]
    if 300 in batches:
        judged.append(
            Verdict("share of the floor's rate, batch 300", share_of_floor(rows, model, 300), 0.60, at_most=False)
        )
    for batch in batches:
        cost = _over(rows, "unguarded", batch)
        judged.append(Verdict(f"the guard, and norms of every 20th step, batch {batch}", cost, 1.03, at_most=True))
        loop, bare = find(rows, "steps", "loop", batch), find(rows, "steps", "bare", batch)
        ratio = float(np.median(np.divide(loop.values, bare.values))) if loop and bare else None
        judged.append(
            Verdict(f"run.py's whole loop against the bare program, batch {batch}", ratio, 1.05, at_most=True)
        )
    tensorflow, *train = [row for row in rows if row.question == "memory"]
    above = train[0].median - tensorflow.median
    judged.append(Verdict(f"memory above TensorFlow alone, {train[0].name}", above, 1536, at_most=True, unit=" MiB"))
    return judged


def share_of_floor(rows: Sequence[Row], model: ModelConfig, batch: int) -> float | None:
    """The floor's time over the compiled program's, in the same rounds."""
    compiled, matmul = find(rows, "steps", "compiled", batch), find(rows, "steps", "matmul", batch)
    if not (compiled and matmul):
        return None
    floors = [floor_ms(model, batch, value) for value in matmul.values]
    return float(np.median(np.divide(floors, compiled.values)))


def _over(rows: Sequence[Row], other: str, batch: int) -> float | None:
    """The compiled program's time over another's, in the same rounds."""
    row = find(rows, "steps", other, batch)
    return float(np.median(np.divide(row.reference, row.values))) if row else None
