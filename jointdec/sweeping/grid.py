"""A grid laid out from Python: one ``python -m jointdec.sweep sweep.sampler=grid`` and its trials as rows."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ENDED = ("complete", "fail")  # the other trials were stopped, and run again
NO_TRIAL_ENDED_WELL = 3
FOLDER = "folder"


def run_grid(  # noqa: PLR0913 (what a study is)
    folder: Path,
    name: str,
    fixed: Sequence[str],
    grid: Mapping[str, Sequence[object]],
    *,
    workers: int,
    objective: Sequence[str],
) -> list[dict[str, str]]:
    """Run a grid, or what earlier calls left of it.

    Args:
        folder: the working folder of the command: the study goes to ``folder/sweeps/name``.
        name: of the study.
        fixed: overrides that hold in all trials.
        grid: configuration key -> its values.
        workers: processes.
        objective: metrics that a trial's row has; those of the last epoch, or of generation.

    Returns:
        A row of trials.csv for each trial that ended, as text, and ``folder`` with its curves.npz and summary.json.

    Raises:
        SystemExit: the sweep was interrupted, or refused; it has said so itself. The code is its exit code.
    """
    searched = [f"{key}=choice({','.join(map(str, values))})" for key, values in grid.items()]
    settings = [f"sweep.name={name}", "sweep.sampler=grid", f"sweep.workers={workers}"]
    settings += [f"sweep.objective=[{','.join(objective)}]"]
    done = subprocess.run(
        [sys.executable, "-m", "jointdec.sweep", *fixed, *searched, *settings], cwd=folder, check=False
    )
    if done.returncode not in (0, NO_TRIAL_ENDED_WELL):
        sys.exit(done.returncode)
    study = folder / "sweeps" / name
    with (study / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["state"] in ENDED]
    return [{**row, FOLDER: str(study / "trials" / f"{int(row['trial']):05}")} for row in rows]
