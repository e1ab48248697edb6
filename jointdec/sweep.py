"""``python -m jointdec.sweep +experiment=split_loss +search=loss_weights``: search for the best configuration.

Runs an Optuna study over what the command line searches, written as Hydra writes sweeps:

  "loss.weights.HEAD=tag(log,interval(0.1,10))"   "model.alpha=interval(0,0.5)"
  loss=joint,split                                 "training.batch_size=range(50,300,50)"

(in quotes, since the parentheses mean something to a shell)

or over an option of conf/search: +search=loss_weights, alpha, loss_weights_and_alpha, optimizer. Everything else is
as in python -m jointdec.run. The study's settings are sweep.name, n_trials, workers, storage, objective, direction,
sampler, pruner and penalty, see conf/sweep/default.yaml. The same command again goes on where this one stopped.

Exit codes: 0 no trial is left to run, 1 an error of jointdec's or workers that die, 2 bad input, 3 no trial ended well,
130 interrupted.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from jointdec.command import BAD_INPUT, EXIT_CODES, argument_parser, exit_code, interrupt

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from jointdec.dataset import Dataset
    from jointdec.reporting.sweep_terminal import SweepTerminal
    from jointdec.sweeping.plan import Plan
    from jointdec.tracking.study_run import StudyRun, StudyStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argument_parser("sweep", __doc__)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="in Hydra's syntax")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, interrupt)
    return exit_code(lambda: sweep(given.overrides))


def sweep(overrides: Sequence[str]) -> int:
    """Run a study, or go on with it.

    Args:
        overrides: what the user typed.

    Returns:
        The exit code.

    Raises:
        UserError: something cannot be used as asked for; nothing was trained then.
    """
    from jointdec.reporting.sweep_terminal import SweepTerminal
    from jointdec.sweeping.plan import make_plan
    from jointdec.sweeping.report import report
    from jointdec.sweeping.storage import locked, open_storage, require_answer
    from jointdec.sweeping.study import running

    terminal = SweepTerminal()
    plan = make_plan(overrides)
    require_answer(plan.storage)
    datasets = load_data(plan, terminal)
    with terminal.waiting("opening the tracking store and the storage"):
        store = tracking_store(plan)
        with locked(plan.storage):
            storage = open_storage(plan.storage)
            session = begin(plan, storage, datasets, store)
    study, run = session.study, session.run
    announce(plan, session, terminal)
    outcome = "failed"
    try:
        outcome = run_workers(plan, session, storage, terminal)
        with terminal.waiting("drawing, recording"):
            best = report(plan, study, outcome, run)
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    finally:
        if run and not running(study):  # on another machine
            run.finish("failed" if outcome == "bad_input" else outcome)
    farewell(plan, outcome, best, run, terminal)
    if outcome == "bad_input":
        return BAD_INPUT
    return EXIT_CODES["diverged" if outcome == "finished" and not best else outcome]


class Session(NamedTuple):
    """One command's part in a study: the study, its run in MLflow, its places, and what to seed samplers with."""

    study: Study
    run: StudyRun | None
    places: int
    entropy: list[int]


def load_data(plan: Plan, terminal: SweepTerminal) -> list[Dataset]:
    """See that all data can be read, and encode them once, before the workers do.

    Raises:
        UserError: they cannot be read, or do not have what the objective judges.
    """
    from jointdec.problems import find

    problem, datasets = find(plan.base.problem), []
    with terminal.preparation() as progress:
        for data in plan.data:
            dataset = problem.load(data, progress)
            datasets.append(dataset)
            problem.check_objective(plan.settings.objective, dataset)
    return datasets


def tracking_store(plan: Plan) -> StudyStore | None:
    """The tracking store, ready for many workers; None with tracking=none."""
    if plan.base.tracking.name == "none":
        return None
    from jointdec.tracking.study_run import open_study_store

    return open_study_store(plan.base.tracking)


def begin(plan: Plan, storage: BaseStorage, datasets: Sequence[Dataset], store: StudyStore | None) -> Session:
    """Make the study and its run, or find them, and the places of its trials. Under the storage's lock.

    Raises:
        UserError: there is another study of this name, or its run is in another store.
    """
    from jointdec.sweeping.study import (
        add_places,
        define,
        give_back_dead,
        load_study,
        make_lost_places_again,
        open_study,
        register_session,
    )

    definition = define(plan.settings, plan.space, plan.base, [dataset.digest for dataset in datasets])
    open_study(storage, plan.name, definition, plan.settings.direction)
    study = load_study(storage, plan.name)
    run = open_run(study, store, definition, datasets) if store else None
    given_back(give_back_dead(study, storage, "its worker is gone", died=False), run)
    make_lost_places_again(study)
    places = add_places(study, plan.settings, plan.space)
    return Session(study, run, places, register_session(study, plan.base.seed))


def open_run(study: Study, store: StudyStore, definition: Mapping[str, str], datasets: Sequence[Dataset]) -> StudyRun:
    """The study's run in MLflow, made by the command that made the study."""
    from jointdec.sweeping.study import RUN_ID
    from jointdec.tracking.study_run import StudyRun

    run = StudyRun(store, study.study_name, study.user_attrs.get(RUN_ID))
    study.set_user_attr(RUN_ID, run.parent.run_id)
    run.log_params(definition)
    run.log_datasets(datasets)
    return run


def given_back(trials: Sequence[FrozenTrial], run: StudyRun | None) -> None:
    """End the records of trials that did not end."""
    from jointdec.sweeping.study import RUN_ID

    for trial in trials:
        if run and RUN_ID in trial.user_attrs:
            run.end_trial(trial.user_attrs[RUN_ID])


def announce(plan: Plan, session: Session, terminal: SweepTerminal) -> None:
    """What will be searched, how, where."""
    from jointdec.sweeping.study import ended

    settings, before = plan.settings, len(ended(session.study.get_trials(deepcopy=False)))
    facts = {
        "study": f"{plan.name}, {session.places} trials" + (f", {before} of them ended before" if before else ""),
        "objective": settings.goals,
        "space": ", ".join(f"{dimension.key}={dimension.text}" for dimension in plan.space),
        "search": f"{settings.sampler}, pruner {settings.pruner}, worker processes {settings.workers}",
    }
    terminal.facts(facts)


def run_workers(plan: Plan, session: Session, storage: BaseStorage, terminal: SweepTerminal) -> str:
    """Work until no trial is left or somebody asks to stop: finished, interrupted, failed or bad_input."""
    from jointdec.interrupt import StopRequest
    from jointdec.sweeping.report import best_trials
    from jointdec.sweeping.study import ended
    from jointdec.sweeping.supervisor import Supervisor
    from jointdec.sweeping.worker import Work

    study, run = session.study, session.run
    work = Work(plan, run.parent if run else None, session.entropy)
    message = "Stopping after the running epochs; once more stops at once."
    with terminal.trials(session.places) as show, StopRequest(message) as stop:

        def glance() -> None:
            show(ended(study.get_trials(deepcopy=False)), best_trials(study, 1))

        end = partial(given_back, run=run)
        return Supervisor(work, study, storage, stop, glance, terminal.note, end).run()


def farewell(
    plan: Plan, outcome: str, best: Sequence[FrozenTrial], run: StudyRun | None, terminal: SweepTerminal
) -> None:
    """The best trials, and what to do next."""
    from jointdec.sweeping.report import run_command
    from jointdec.sweeping.storage import dashboard_command

    facts = {"outcome": outcome, "files": str(plan.folder.absolute())}
    if best:
        terminal.best(best, plan.settings.objective)
        facts["run the best" if len(plan.settings.objective) == 1 else "run one end"] = run_command(
            plan.fixed, best[0].params
        )
        own = [text for text in plan.fixed if text.startswith(("problem=", "data.path="))]
        facts["or"] = " ".join([f"python -m jointdec.run --config-dir {plan.folder} +experiment=best", *own])
    facts["page"] = str(plan.folder.absolute() / "study.html")
    if run:
        facts["record"] = run.where
    facts["dashboard"] = dashboard_command(plan.storage)
    terminal.facts(facts)


if __name__ == "__main__":
    sys.exit(main())
