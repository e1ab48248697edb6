"""Ctrl-C and SIGTERM, taken between two epochs, where weights and curves belong together."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self


class StopRequest:
    """Inside its block, a first SIGINT or SIGTERM only sets ``made``; a second one raises KeyboardInterrupt.

    Args:
        message: what a person at the terminal is told then; without one nobody is told, and a second signal is like the
            first, as for a process whose parent kills it when it takes too long.
    """

    def __init__(self, message: str = "Stopping after this epoch; once more stops at once.") -> None:
        self.made = False
        self._message = message

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.made and self._message:
            raise KeyboardInterrupt
        self.made = True
        if self._message:
            print(f"\n{self._message}", file=sys.stderr)


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """A `StopRequest`; in a thread, where Python delivers no signals, one that is never made."""
    if threading.current_thread() is threading.main_thread():
        with StopRequest() as stop:
            yield stop
    else:
        yield StopRequest()
