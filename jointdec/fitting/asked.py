"""The arguments of `jointdec.fit` that are no data, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jointdec.errors import BadArgument
from jointdec.training.compiled import Jit

BATCH_SIZE = 32  # Keras's
MAX_BATCH = 2**31 - 1
POLICIES = ("stop", "skip", "continue")


@dataclass(frozen=True)
class Asked:
    """See `jointdec.fit`.

    Raises:
        BadArgument: a value that its name may not have.
    """

    epochs: int
    batch_size: int | None
    shuffle: bool
    initial_epoch: int
    seed: int
    jit: Jit
    on_divergence: str
    norms: int
    memory: int | None

    def __post_init__(self) -> None:
        for name, least in {
            "epochs": 1,
            "batch_size": 1,
            "initial_epoch": 0,
            "seed": 0,
            "norms": 1,
            "memory": 1,
        }.items():
            value = getattr(self, name)
            if name in ("batch_size", "memory") and value is None:
                continue
            if (
                isinstance(value, bool)
                or not _is_whole(value)
                or not least <= value <= MAX_BATCH * (1 + 2**32 * (name in ("memory", "seed")))
            ):
                raise BadArgument(f"{name} is {value!r}, but must be a whole number from {least} on.")
        if self.initial_epoch >= self.epochs:
            raise BadArgument(
                f"initial_epoch is {self.initial_epoch} and epochs {self.epochs}, so there is nothing to train: epochs is the "
                "number of the last epoch, not how many there are."
            )
        for name, choices in {
            "jit": (True, False, "auto"),
            "on_divergence": POLICIES,
            "shuffle": (True, False),
        }.items():
            if not any(getattr(self, name) is choice or getattr(self, name) == choice for choice in choices):
                allowed = ", ".join(map(repr, choices))
                raise BadArgument(f"{name} is {getattr(self, name)!r}, but must be one of {allowed}.")


def _is_whole(value: Any) -> bool:  # noqa: ANN401 (whatever was given)
    try:
        return int(value) == value
    except (TypeError, ValueError, OverflowError):
        return False
