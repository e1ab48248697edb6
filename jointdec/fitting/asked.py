"""The arguments of `jointdec.fit` that are no data, checked."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jointdec.errors import BadArgument
from jointdec.training.compiled import Jit

BATCH_SIZE = 32  # Keras's
INT32, INT64 = 2**31 - 1, 2**63 - 1
BOUNDS = {  # least and most
    "epochs": (1, INT32),
    "batch_size": (1, INT32),
    "initial_epoch": (0, INT32),
    "seed": (0, INT64),
    "norms": (1, INT32),
    "memory": (1, INT64),
}
CHOICES = {
    "jit": (True, False, "auto"),
    "on_divergence": ("stop", "skip", "continue"),
    "shuffle": (True, False),
}


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
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if value is None and name in ("batch_size", "memory"):
                continue
            if not _is_whole(value) or not least <= value <= most:
                raise BadArgument(f"{name} is {value!r}, but must be a whole number from {least} to {most}.")
        if self.initial_epoch >= self.epochs:
            raise BadArgument(
                f"initial_epoch is {self.initial_epoch} and epochs {self.epochs}, so there is nothing to train: "
                "epochs is the number of the last epoch, not how many there are."
            )
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if not isinstance(value, bool | str) or value not in choices:
                raise BadArgument(f"{name} is {value!r}, but must be one of {', '.join(map(repr, choices))}.")


def require_names(tracking: Any, experiment: Any, name: Any, tags: Any) -> None:  # noqa: ANN401 (whatever was given)
    """Raise BadArgument for what cannot name a record; whether there is such a store is asked later."""
    for what, text in {"tracking": tracking, "experiment": experiment, "name": name}.items():
        if not (text is None and what == "name") and not (isinstance(text, str) and text.strip()):
            raise BadArgument(f"{what} is {text!r}, but must be a text of at least one character.")
    if tags is None:
        return
    if not isinstance(tags, Mapping) or not all(isinstance(part, str) for pair in tags.items() for part in pair):
        raise BadArgument(f"tags is {tags!r}, but must be a dict from texts to texts: {{'data': 'first try'}}.")


def _is_whole(value: Any) -> bool:  # noqa: ANN401
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool)
