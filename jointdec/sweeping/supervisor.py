"""Starts workers, replaces those that die, and passes on a request to stop."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import NamedTuple

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from jointdec.command import BAD_INPUT
from jointdec.interrupt import StopRequest
from jointdec.sweeping.study import GRACE_SECONDS, SIGN_SECONDS, WORKER, ended, give_back_dead, repeated, running
from jointdec.sweeping.worker import INTERRUPTED, SIGNALS, Share, Work, run_worker
from jointdec.tracking.environment import HOST, PID, host

GLANCE_SECONDS = 0.3  # between two looks at the workers
HOPELESS = 3  # workers that die one after another, no trial ending in between, before the sweep is given up
PATIENCE_FOR_OTHERS = GRACE_SECONDS + 2 * SIGN_SECONDS  # time to find out whether the last trials' machines live


class Slot(NamedTuple):
    """A worker's place on the machine."""

    cores: frozenset[int]
    gpu: str | None


def slots(workers: int) -> list[Slot]:
    """The machine shared out: every worker its own cores, and a GPU, its own if there are enough."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") and workers > 1 else []
    devices = gpus()
    return [
        Slot(
            cores=frozenset(cores[number::workers] or cores[number % max(len(cores), 1) :][:1]),
            gpu=devices[number % len(devices)] if devices else None,
        )
        for number in range(workers)
    ]


def gpus() -> list[str]:
    """The GPUs that CUDA_VISIBLE_DEVICES allows, or all that NVIDIA's driver has made devices for."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [device for device in visible.split(",") if device]
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))


class Supervisor:
    """The workers of one command.

    Args:
        work: what they work on.
        study: as this process sees it.
        storage: the study's.
        stop: a person's request; passed on once.
        glance: called all the while.
        note: told what a person should know.
        given_back: told which trials ended without their worker.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (the study, and whom to tell)
        self,
        work: Work,
        study: Study,
        storage: BaseStorage,
        stop: StopRequest,
        glance: Callable[[], None],
        note: Callable[[str], None],
        given_back: Callable[[Sequence[FrozenTrial]], None],
    ) -> None:
        self._work, self._study, self._storage = work, study, storage
        self._stop, self._glance, self._note, self._given_back = stop, glance, note, given_back
        self._free = slots(work.plan.settings.workers)
        self._workers: dict[SpawnProcess, Slot] = {}
        self._started = 0
        self._deaths, self._ended = 0, 0

    def run(self) -> str:
        """Work until no trial is left, here or on a machine that gives no sign of life any more.

        Returns:
            finished, interrupted, failed (workers die at once, or of an error), or bad_input, which a worker has told.
        """
        outcome = "finished"
        passed_on = False
        looked = busy = time.monotonic()
        try:
            while True:
                outcome = self._reap() or outcome
                if (self._stop.made or outcome != "finished") and not passed_on:
                    passed_on = True
                    self._signal(signal.SIGINT)
                if not passed_on:
                    self._start_workers()
                self._glance()
                now = time.monotonic()
                busy = now if self._workers else busy
                if now - looked > SIGN_SECONDS:
                    looked = now
                    self._give_back_dead("its worker gives no sign of life")
                if not self._workers and (passed_on or now - busy > PATIENCE_FOR_OTHERS or not running(self._study)):
                    break
                time.sleep(GLANCE_SECONDS)
        finally:
            self._end_at_once()
        return "interrupted" if self._stop.made and outcome == "finished" else outcome

    def _start_workers(self) -> None:
        """As many as there are places for, beside the workers that have not taken one yet."""
        waiting = len(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
        owners = [trial.user_attrs.get(WORKER, {}) for trial in running(self._study)]
        busy = {owner[PID] for owner in owners if owner.get(HOST) == host()}
        idle = sum(str(worker.pid) not in busy for worker in self._workers)
        for _ in range(min(len(self._free), waiting - idle)):
            slot = self._free.pop()
            share = Share(self._started, slot.cores, slot.gpu)
            context = multiprocessing.get_context("spawn")
            worker = context.Process(target=run_worker, args=(self._work, share), daemon=True)
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # held back until the worker can deal with them
            try:
                worker.start()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            self._workers[worker] = slot
            self._started += 1

    def _reap(self) -> str | None:
        """Take note of workers that ended; an outcome if the sweep must end."""
        outcome = None
        for worker in [worker for worker in self._workers if worker.exitcode is not None]:
            self._free.append(self._workers.pop(worker))
            code = worker.exitcode or 0
            if code in (0, INTERRUPTED):
                self._give_back_dead("interrupted")  # none, unless something else than this command stopped it
            elif code == BAD_INPUT:
                self._give_back_dead("bad input")
                outcome = "bad_input"
            else:
                outcome = self._mourn(worker.pid, code) or outcome
        return outcome

    def _mourn(self, pid: int | None, code: int) -> str | None:
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        dead = self._give_back_dead(f"its worker died {how}", died=not self._stop.made)
        trials = self._study.get_trials(deepcopy=False)
        again, count = repeated(trials), len(ended(trials))
        self._deaths = self._deaths + 1 if count == self._ended else 1
        self._ended = count
        told = ", ".join(f"trial {t.number} {'is run again' if t.number in again else 'failed twice'}" for t in dead)
        self._note(f"worker died  process {pid}, {how}; {told or 'it had no trial'}")
        if self._deaths < HOPELESS:
            return None
        self._note(f"given up     {self._deaths} workers died one after another, and no trial ended in between")
        return "failed"

    def _give_back_dead(self, cause: str, died: bool = False) -> list[FrozenTrial]:
        dead = give_back_dead(self._study, self._storage, cause, died)
        if dead:
            self._given_back(dead)
        return dead

    def _signal(self, number: int) -> None:
        for worker in self._workers:
            if worker.is_alive() and worker.pid:
                os.kill(worker.pid, number)

    def _end_at_once(self) -> None:
        """Leave no process behind, however this one goes; what they were at has its place made again."""
        for worker in self._workers:
            worker.kill()
            worker.join()
        self._give_back_dead("interrupted")
