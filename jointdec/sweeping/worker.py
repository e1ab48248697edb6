"""A worker: a process that takes places of a study and runs their trials until there is none left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING

from jointdec.command import EXIT_CODES, exit_code
from jointdec.sweeping.plan import Plan

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from jointdec.interrupt import StopRequest
    from jointdec.tracking import Parent

INTERRUPTED = EXIT_CODES["interrupted"]
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Work:
    """What the workers of one command share.

    Attributes:
        plan: the study.
        parent: the study's run in MLflow, if there is one.
        entropy: what samplers are seeded with, beside the worker's number.
    """

    plan: Plan
    parent: Parent | None
    entropy: Sequence[int]


@dataclass(frozen=True)
class Share:
    """A worker's share of the machine.

    Attributes:
        number: counts the workers that this command started.
        cores: CPUs that it may use; empty leaves that to the system.
        gpu: its GPU as CUDA_VISIBLE_DEVICES names it; None leaves it all.
    """

    number: int
    cores: frozenset[int]
    gpu: str | None


def run_worker(work: Work, share: Share) -> None:
    """Run trials until there is none left, somebody asks to stop, or the command that started this process is gone.

    The process exits with 0, 130 when stopped, 2 after telling a user's mistake in one sentence.
    """
    os.setpgid(0, 0)  # Ctrl-C reaches the command alone, which passes it on
    if share.cores:
        os.sched_setaffinity(0, share.cores)
    if share.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = share.gpu
    sys.exit(exit_code(lambda: _run_trials(work, share)))


def _run_trials(work: Work, share: Share) -> int:
    from jointdec.interrupt import StopRequest
    from jointdec.sweeping.points import Points
    from jointdec.sweeping.storage import open_storage
    from jointdec.sweeping.study import CAUSE, WORKER, give_back, load_study, make_pruner, make_sampler, take
    from jointdec.tracking.environment import process_tags
    from jointdec.training.devices import start_backend

    plan = work.plan
    with StopRequest(message="") as stop:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        _stop_with_parent(stop)
        configure = Points(plan.fixed)
        accelerators = start_backend(configure({dimension.key: dimension.ends[0] for dimension in plan.space}))
        from optuna.exceptions import UpdateFinishedTrialError

        from jointdec.sweeping.trial import Trials  # imports TensorFlow
        from jointdec.training.program import room_for_xla

        trials = Trials(plan, work.parent, stop)
        storage = open_storage(plan.storage)
        sampler = make_sampler(plan.settings.sampler, [*work.entropy, share.number])
        pruner = make_pruner(plan.settings.pruner, plan.epochs)
        while not stop.made:
            study = load_study(storage, plan.name, sampler, pruner)
            taken = take(study, storage)
            if taken is None:
                return 0
            trial, trial_id = taken
            trial.set_user_attr(WORKER, process_tags())
            with _signs_of_life(storage, trial_id):
                config = configure({dimension.key: dimension.suggest(trial) for dimension in plan.space})
                try:
                    told = trials.run(trial, config, accelerators)
                    if told and told.cause:
                        trial.set_user_attr(CAUSE, told.cause)
                except UpdateFinishedTrialError:  # this machine slept, and another one has taken the trial over
                    continue
            if told is None:
                give_back(study, storage, storage.get_trial(trial_id), "interrupted", died=False)
                break
            study.tell(trial, told.values, told.state, skip_if_finished=True)
            if not room_for_xla():  # a new process takes the next one
                return 0
        return INTERRUPTED


def _stop_with_parent(stop: StopRequest) -> None:
    """Ask to stop when the command that started this process is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        stop.made = True

    Thread(target=wait, name="jointdec-parent", daemon=True).start()


@contextmanager
def _signs_of_life(storage: BaseStorage, trial_id: int) -> Iterator[None]:
    """Write the time into the trial now and then: other machines know by it whether to run it again."""
    from jointdec.sweeping.study import SEEN, SIGN_SECONDS

    over = Event()

    def sign() -> None:
        while True:
            with suppress(Exception):  # the storage does not answer for a moment; if for longer, the trial fails of it
                storage.set_trial_user_attr(trial_id, SEEN, time.time())
            if over.wait(SIGN_SECONDS):
                return

    thread = Thread(target=sign, name="jointdec-signs-of-life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
