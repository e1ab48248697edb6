"""What a user's own mistake becomes: one exception, and a subclass for each mistake that a caller may want to catch."""

# ruff: noqa: N818 (the names say the mistake, "Error" would say nothing more)

from __future__ import annotations

import difflib


class UserError(Exception):
    """Bad input: one sentence saying what was found, where, what is allowed and how to mend it.

    The commands print the sentence without a traceback and exit with code 2.
    """


class BadProblem(UserError):
    """A problem that cannot be trained as it is declared."""


class BadArgument(UserError):
    """A value that no argument of this kind may have."""


class NotCompiled(UserError):
    """A model without ``model.compile(...)``."""


class OptimizerInUse(UserError):
    """An optimizer whose state was built for the variables of another model."""


class NoLossNumber(UserError):
    """A loss that isn't one number."""


class LengthMismatch(UserError):
    """Arrays that do not have one row for each example."""


class UnknownOutput(UserError):
    """A key of the data that names no input or output of the model, or one that is missing."""


class NotFiniteInput(UserError):
    """NaN or Inf in the data."""


class LabelOutsideClasses(UserError):
    """A class index that names no class."""


class DataTooLarge(UserError):
    """Data that the device's memory cannot hold."""


def did_you_mean(word: str, known: list[str]) -> str:
    """``" (did you mean 'x'?)"`` when a known word is close, else an empty string."""
    spellings = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), spellings, n=1)
    return f" (did you mean {spellings[close[0]]!r}?)" if close else ""
