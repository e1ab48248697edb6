"""Which runs a comparison is of."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from jointdec.comparing.settings import CompareConfig, Request
from jointdec.errors import UserError
from jointdec.reporting.runs import load_runs

MULTIRUN = Path("multirun")  # where python -m jointdec.run -m leaves its folders, see conf/config.yaml
LAST = "last"


def select_runs(request: Request) -> pd.DataFrame:
    """The runs that were asked for, as `load_runs` gives them.

    Raises:
        UserError: there is none, or the store or the folder cannot be read.
    """
    settings = request.settings
    ids = settings.runs or (multirun_ids(settings.multirun) if settings.multirun else None)
    runs = load_runs(request.uri, request.experiment, settings.filter, ids)
    if not len(runs):
        raise UserError(f"{_nothing(settings, request.experiment)}: there is nothing to compare.")
    return runs


def multirun_ids(multirun: str) -> list[str]:
    """Ids of the runs of one ``python -m jointdec.run -m``.

    Args:
        multirun: its folder, or ``last`` for the latest in ./multirun.

    Raises:
        UserError: there is no such folder, or no run of it has left a summary.json with an id.
    """
    folder = _latest() if multirun == LAST else Path(multirun)
    if not folder.is_dir():
        raise UserError(
            f"multirun is {multirun!r}, but there is no such folder: give that of a jointdec.run -m, or last."
        )
    summaries = sorted(folder.glob("*/summary.json"), key=lambda file: (len(file.parent.name), file.parent.name))
    ids = [run_id for file in summaries if (run_id := _run_id(file))]
    if not ids:
        raise UserError(
            f"No run in {folder} has left a summary.json with a run's id: none has ended, or tracking=none."
        )
    return ids


def _run_id(file: Path) -> str | None:
    try:
        run_id: str | None = json.loads(file.read_text())["run_id"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} is no summary of a run of jointdec's: remove it, or name the runs with runs=[...]."
        ) from error
    return run_id


def _latest() -> Path:
    folders = sorted(folder for folder in MULTIRUN.glob("*/*") if folder.is_dir())
    if not folders:
        raise UserError(f"There is no multirun in {MULTIRUN.absolute()}: give its folder with multirun=...")
    return folders[-1]


def _nothing(settings: CompareConfig, experiment: str) -> str:
    if settings.filter:
        return f"No trained run fits filter {settings.filter!r}"
    return f"The experiment {experiment!r} has no trained run"
