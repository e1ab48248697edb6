"""Measures contenders side by side: each in a process of its own, one after another, round after round.

What the machine does besides thus meets all of them, and ratios within a round cancel it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from command import tell
from contender import Round
from problem import Problem
from zoo.problem import Zoo

ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # the contenders share a GPU's memory
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
WORKER = Path(__file__).with_name("worker.py")


class Worker:
    """A process that runs one contender. `ask` and `answer` are apart, so that several can be built at a time."""

    def __init__(self, contender: str) -> None:
        self._contender = contender
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), contender],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=os.environ | ENVIRONMENT,
        )

    def ask(self, **request: Any) -> None:  # noqa: ANN401 (JSON)
        """Send a request, see worker.py."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Round | str:
        """Wait for the answer: a round, or what is missing.

        Raises:
            RuntimeError: the process died; its own words are in the message.
        """
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"the contender {self._contender!r} died:\n{self._log.read()[-3000:]}")
        said = json.loads(line)
        return str(said["missing"]) if "missing" in said else Round(**said)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._log.close()


def measure(contenders: Mapping[str, tuple[str, Problem | Zoo]], rounds: int) -> dict[str, list[Round] | str]:
    """Build all contenders, then run them in turn.

    Args:
        contenders: by any key, the contender's name in `contenders.ENTRIES` and its problem.
        rounds: how many timed rounds follow the first, which compiles.

    Returns:
        By key: the first round and ``rounds`` more, or why there are none.
    """
    workers = {key: Worker(name) for key, (name, _) in contenders.items()}
    try:
        with tempfile.TemporaryDirectory() as folder:
            for number, (key, (_, problem)) in enumerate(contenders.items()):
                workers[key].ask(**problem.pack(Path(folder, f"{number}.npz")))
            first = {key: worker.answer() for key, worker in workers.items()}
        measured: dict[str, list[Round] | str] = {
            key: answer if isinstance(answer, str) else [answer] for key, answer in first.items()
        }
        present = [key for key, answer in measured.items() if not isinstance(answer, str)]
        for number in range(1, rounds + 1):
            for key in np.roll(np.array(present, dtype=object), -number):  # nobody is always behind the same one
                workers[key].ask(epoch=number)
                taken, kept = workers[key].answer(), measured[key]
                assert isinstance(taken, Round)
                assert isinstance(kept, list)
                kept.append(taken)
    finally:
        for worker in workers.values():
            worker.close()
    return measured


def demand_agreement(measured: Mapping[str, list[Round] | str], keys: Iterable[str], tolerance: float) -> None:
    """See that these contenders train alike, by their mean losses of the first epoch.

    Raises:
        SystemExit: two of them differ by more than this, relatively, or one is NaN.
    """
    losses = {key: rounds[0].loss for key in keys if not isinstance(rounds := measured[key], str)}
    apart = np.ptp(list(losses.values())) / min(losses.values())
    if not apart <= tolerance:  # nor if one of them is NaN
        raise SystemExit(f"throughput: the contenders don't train alike, their losses differ by {apart:.1e}: {losses}")
    tell(f"first epoch's losses agree within {apart:.1e}")
