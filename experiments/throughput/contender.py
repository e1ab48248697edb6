"""What takes part: something that trains an epoch when it is told to, and says how long that took."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Round(NamedTuple):
    """One measurement: wall time of one step in ms, and the mean training loss of the epoch (NaN if none)."""

    ms_per_step: float
    loss: float


Contender = Callable[[int], Round]  # trains the epoch of this number
