"""What a study leaves, here and in MLflow: a table of its trials, the best ones as commands and as a file, figures."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from jointdec.config import GROUPS, Config
from jointdec.problems import find, ships
from jointdec.reporting.study_figures import draw, page
from jointdec.sweeping.plan import Plan
from jointdec.sweeping.points import Point, Points, overrides_of
from jointdec.sweeping.study import CAUSE, EPOCHS, RUN_ID, repeated
from jointdec.tracking.uri import hide_credentials

if TYPE_CHECKING:
    from jointdec.tracking.study_run import StudyRun


TOP = 5  # trials in the table at the end and in summary.json


def report(plan: Plan, study: Study, outcome: str, run: StudyRun | None) -> list[FrozenTrial]:
    """Write summary.json, trials.csv, experiment/best.yaml, figures/ and study.html, and record them.

    Args:
        plan: the study.
        study: as the storage has it now.
        outcome: finished, interrupted, failed or bad_input.
        run: the study's run in MLflow, if there is one.

    Returns:
        The best trials, the best first; of several objectives the front.
    """
    folder, objectives = plan.folder, plan.settings.objective
    folder.mkdir(parents=True, exist_ok=True)
    trials, best = study.get_trials(deepcopy=False), best_trials(study, TOP)
    counts = count_states(trials)
    _write_table(folder / "trials.csv", trials, objectives)
    facts = {"name": plan.name, "outcome": outcome, "run_id": run.parent.run_id if run else None, "trials": counts}
    top = [_facts(plan, trial) for trial in best]
    (folder / "summary.json").write_text(json.dumps(facts | {"best": top}, indent=2) + "\n")
    if best:
        (folder / "experiment").mkdir(exist_ok=True)
        command = f"python -m jointdec.run --config-dir {folder} +experiment=best"
        file = experiment_file(Points(plan.fixed)(best[0].params), command)
        (folder / "experiment/best.yaml").write_text(file, encoding="utf-8")
    text = _text(plan, counts, top)
    (folder / "figures").mkdir(exist_ok=True)
    draw(study, objectives, folder / "figures")
    (folder / "study.html").write_text(page(study, objectives, text), encoding="utf-8")
    if run:
        _record(run, plan, counts, best, text)
    return best


def count_states(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """How many trials are complete, pruned, failed, running, waiting; repeated ones are those that did not end."""
    again = repeated(trials)
    counts = {state.name.lower(): 0 for state in TrialState} | {"repeated": len(again)}
    for trial in trials:
        if trial.number not in again:
            counts[trial.state.name.lower()] += 1
    return counts


def _facts(plan: Plan, trial: FrozenTrial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "values": dict(zip(plan.settings.objective, trial.values, strict=True)),
        "point": trial.params,
        "run_id": trial.user_attrs.get(RUN_ID),
        "command": run_command(plan.fixed, trial.params),
    }


def _write_table(file: Path, trials: Sequence[FrozenTrial], objectives: Sequence[str]) -> None:
    keys, again = sorted({key for trial in trials for key in trial.params}), repeated(trials)
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened, lineterminator="\n")
        rows.writerow(["trial", "state", *objectives, *keys, "epochs", "seconds", "run_id", "cause"])
        for trial in trials:
            state = "repeated" if trial.number in again else trial.state.name.lower()
            values = trial.values or [""] * len(objectives)
            point = [trial.params.get(key, "") for key in keys]
            seconds = trial.duration.total_seconds() if trial.duration else ""
            epochs, run_id, cause = (trial.user_attrs.get(name, "") for name in (EPOCHS, RUN_ID, CAUSE))
            rows.writerow([trial.number, state, *values, *point, epochs, seconds, run_id, cause])


def _text(plan: Plan, counts: dict[str, int], top: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"Objective: {plan.settings.goals}.",
        *(f"Searched: {dimension.key}={dimension.text}" for dimension in plan.space),
        "Trials: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count) + ".",
    ]
    if top:
        values = ", ".join(f"{name} {value:.5g}" for name, value in top[0]["values"].items())
        word = "Best" if len(plan.settings.objective) == 1 else "One end of the front"
        lines += [f"{word}: trial {top[0]['trial']}, {values}:", top[0]["command"]]
    return "\n".join(lines)


def _record(run: StudyRun, plan: Plan, counts: dict[str, int], best: Sequence[FrozenTrial], text: str) -> None:
    folder, objectives = plan.folder, plan.settings.objective
    for name in ("summary.json", "trials.csv", "study.html"):
        run.log_artifact(folder / name)
    for part in ("figures", "experiment"):
        for file in sorted((folder / part).glob("*")):
            run.log_artifact(file, part)
    metrics = {f"trials/{state}": float(count) for state, count in counts.items()}
    if len(objectives) == 1 and best:
        metrics[f"best/{objectives[0]}"] = best[0].values[0]
    run.log_metrics(metrics)
    *facts, command = text.splitlines() if best else [*text.splitlines(), ""]
    run.describe("\n\n".join(facts) + (f"\n\n    {command}" if command else ""))


def best_trials(study: Study, count: int) -> list[FrozenTrial]:
    """The best complete trials, the best first; of several objectives all trials that no other one dominates."""
    if len(study.directions) > 1:
        return sorted(study.best_trials, key=lambda trial: trial.values[0])
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    down = study.direction == StudyDirection.MINIMIZE
    return sorted(complete, key=lambda trial: trial.values[0] if down else -trial.values[0])[:count]


def run_command(fixed: Sequence[str], point: Point) -> str:
    """The command that trains a point, for everybody to see: credentials are struck out."""
    return shlex.join(["python", "-m", "jointdec.run", *map(hide_credentials, overrides_of(fixed, point))])


def experiment_file(config: Config, command: str) -> str:
    """A file for conf/experiment, or for a folder given with ``--config-dir``, that trains a configuration."""
    values: dict[str, Any] = asdict(config)
    del values["tracking"]  # where to record is for the one to decide who runs it
    for group in ("model", "loss"):
        if values[group].get("specimen", ...) is None:
            del values[group]["specimen"]
    groups = [*GROUPS]
    if find(config.problem).groups() is None:
        groups += ["data", "model"]
    defaults = [{f"override /{group}": values[group]["name"]} for group in groups if group in values]
    if ships(config.problem):
        defaults.append({"override /problem": config.problem})
    else:
        del values["problem"]  # the command line names it: python -m jointdec.run +experiment=best problem=house.py
    text = OmegaConf.to_yaml(OmegaConf.create({"defaults": defaults, **values}))
    return f"# @package _global_\n# {command}\n{text}"
