"""Measures whole processes: how long until they announce themselves, and how much memory they took."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from rounds import ENVIRONMENT
from rows import Row

HERE = Path(__file__).parent
QM9_SIZE = 130_831
FINISHED = "FINISHED"
Key = TypeVar("Key")


def start_rows(repetitions: int) -> list[Row]:
    """Seconds from a process's start to its announcement; the first repetition warms the disk and is left out."""
    with tempfile.TemporaryDirectory() as folder:
        run = [str(HERE / "first_step.py"), "+experiment=split_loss", f"hydra.run.dir={folder}/out"]
        commands = {
            "import tensorflow": ["-c", f"import tensorflow; print('{FINISHED}', flush=True)"],
            "first step, tracking=none": [*run, "tracking=none"],
            "first step, MLflow in SQLite": [*run, f"tracking.uri=sqlite:///{folder}/mlflow.db"],
        }
        taken = _repeat(commands, repetitions)
    return [Row("start", name, "s", [seconds for seconds, _ in runs]) for name, runs in taken.items()]


def memory_rows(repetitions: int, molecules: int | None) -> list[Row]:
    """Peak memory of TensorFlow alone, and of training on QM9 (or a number of molecules) in batches of 300."""
    size = QM9_SIZE if molecules is None else molecules
    qm9 = molecules is None and importlib.util.find_spec("qm9pack") is not None
    peak = str(HERE / "peak.py")
    train = f"train, {size:,} molecules" + (" (QM9)" if qm9 else "")
    commands = {"import tensorflow": [peak, "tensorflow"], train: [peak, "qm9" if qm9 else str(size)]}
    taken = _repeat(commands, repetitions)
    return [Row("memory", name, "MiB", [float(said) for _, said in runs]) for name, runs in taken.items()]


def start_times(commands: Mapping[Key, Sequence[str]], repetitions: int) -> dict[Key, list[float]]:
    """By key, seconds until the script of this folder, started with these arguments, announces that it has finished."""
    taken = _repeat({key: [str(HERE / script), *rest] for key, (script, *rest) in commands.items()}, repetitions)
    return {key: [seconds for seconds, _ in runs] for key, runs in taken.items()}


def _repeat(commands: Mapping[Key, Sequence[str]], repetitions: int) -> dict[Key, list[tuple[float, str]]]:
    """In turn, like the contenders."""
    taken: dict[Key, list[tuple[float, str]]] = {name: [] for name in commands}
    for repetition in range(repetitions + 1):
        for name, command in commands.items():
            measured = _run(command)
            if repetition:
                taken[name].append(measured)
    return taken


def _run(command: Sequence[str]) -> tuple[float, str]:
    """Seconds until the process prints a line that begins with FINISHED, and the rest of that line.

    Raises:
        RuntimeError: it ends without one.
    """
    with tempfile.TemporaryFile("w+") as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | ENVIRONMENT
        )
        assert process.stdout
        for line in process.stdout:
            if line.startswith(FINISHED):
                seconds = time.perf_counter() - start
                process.communicate()
                return seconds, line.removeprefix(FINISHED).strip()
        process.wait()
        log.seek(0)
        raise RuntimeError(f"{' '.join(command)} ended too early:\n{log.read()[-3000:]}")
