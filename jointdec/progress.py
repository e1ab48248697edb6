"""How long-running functions here say how far they are; who shows it, and how, is not their matter."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Told ``(description, done, total)`` now and then; ``done`` starts at 0 and ends at ``total``."""


def silent(description: str, done: int, total: int) -> None:
    """Show nothing."""
