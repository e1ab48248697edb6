"""``fit`` as a contender: it is called once, and waits before each epoch until this epoch's turn has come.

What a call of ``fit`` prepares is thus not counted, but everything is that it does from one epoch to the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

import keras
from contender import Contender, Round

EPOCHS = 10_000  # more than anybody asks for


class Turns(keras.callbacks.Callback):
    """Lets an epoch begin when it is asked for, and answers when the next one would begin."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.asked: SimpleQueue[int] = SimpleQueue()
        self.answers: SimpleQueue[Round | BaseException] = SimpleQueue()
        self._steps = steps
        self._released = self._loss = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Answer for the epoch before; wait."""
        if epoch:
            seconds = time.perf_counter() - self._released
            self.answers.put(Round(1000 * seconds / self._steps, self._loss))
        self.asked.get()
        self._released = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the epoch's loss."""
        assert logs
        self._loss = float(logs["loss"])


def in_turns(steps: int, fit: Callable[[Turns], object]) -> Contender:
    """A contender from a function that calls ``fit`` for EPOCHS epochs with this callback; it runs in a thread."""
    turns = Turns(steps)

    def run() -> None:
        try:
            fit(turns)
        except BaseException as error:  # raised again where the epoch was asked for
            turns.answers.put(error)

    Thread(target=run, daemon=True).start()

    def epoch(number: int) -> Round:
        turns.asked.put(number)
        answer = turns.answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return epoch
