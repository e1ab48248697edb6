"""Starts workers, replaces those that die, and passes on a request to stop."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from typing import NamedTuple

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import TrialState

from jointdec.interrupt import StopRequest
from jointdec.sweeping.study import give_back_dead
from jointdec.sweeping.worker import BAD_INPUT, INTERRUPTED, SIGNALS, Share, Work, work
from jointdec.tracking.identity import HOST, PID, host

GLANCE = 0.3  # seconds between two looks at the workers
HOPELESS = 3  # workers that die one after another, no trial ending in between, before the sweep is given up
PATIENCE = 10  # seconds that workers get to stop at once


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
    """The GPUs that CUDA_VISIBLE_DEVICES allows, or all that NVIDIA's driver tells of."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [device for device in visible.split(",") if device]
    try:
        import pynvml  # of the extra "gpu"

        pynvml.nvmlInit()
        return [str(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except Exception:  # no such package, no driver, no GPU: TensorFlow will find none either
        return []


class Supervisor:
    """The workers of one command.

    Args:
        job: what they work on.
        study: as this process sees it.
        storage: the study's.
        stop: a person's request; passed on once.
        glance: called all the while.
        note: told what a person should know.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (the study, and whom to tell)
        self,
        job: Work,
        study: Study,
        storage: BaseStorage,
        stop: StopRequest,
        glance: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self._job, self._study, self._storage = job, study, storage
        self._stop, self._glance, self._note = stop, glance, note
        self._free = slots(job.plan.settings.workers)
        self._workers: dict[SpawnProcess, Slot] = {}
        self._started = 0
        self._deaths, self._ended = 0, 0

    def run(self) -> str:
        """Work until no trial is left.

        Returns:
            finished, interrupted, failed (workers die at once, or of an error), or bad_input, which a worker has told.
        """
        outcome = "finished"
        passed_on = False
        try:
            while True:
                outcome = self._reap() or outcome
                if (self._stop.made or outcome != "finished") and not passed_on:
                    passed_on = True
                    self._signal(signal.SIGINT)
                if not passed_on:
                    self._start_workers()
                self._glance()
                if not self._workers:
                    break
                time.sleep(GLANCE)
        finally:
            self._end_at_once()
        return "interrupted" if self._stop.made and outcome == "finished" else outcome

    def _start_workers(self) -> None:
        """As many as there are places for, beside the workers that have not taken one yet."""
        waiting = len(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        busy = {trial.user_attrs.get(PID) for trial in running if trial.user_attrs.get(HOST) == host()}
        idle = sum(str(worker.pid) not in busy for worker in self._workers)
        for _ in range(min(len(self._free), waiting - idle)):
            slot = self._free.pop()
            share = Share(self._started, slot.cores, slot.gpu)
            worker = multiprocessing.get_context("spawn").Process(target=work, args=(self._job, share), daemon=True)
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # held back until the worker can deal with them
            worker.start()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            self._workers[worker] = slot
            self._started += 1

    def _reap(self) -> str | None:
        """Take note of workers that ended; an outcome if the sweep must end."""
        outcome = None
        for worker in [worker for worker in self._workers if worker.exitcode is not None]:
            self._free.append(self._workers.pop(worker))
            if worker.exitcode == BAD_INPUT:
                outcome = "bad_input"
            elif worker.exitcode not in (0, INTERRUPTED) and not self._stop.made:
                outcome = self._mourn(worker) or outcome
        return outcome

    def _mourn(self, worker: SpawnProcess) -> str | None:
        code = worker.exitcode or 0
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        dead = give_back_dead(self._study, self._storage, f"its worker died {how}", died=True)
        ended = len(self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))
        self._deaths = self._deaths + 1 if ended == self._ended else 1
        self._ended = ended
        self._note(f"worker died  process {worker.pid}, {how}" + ("; its trial is run again" if dead else ""))
        if self._deaths < HOPELESS:
            return None
        self._note(f"given up     {self._deaths} workers died one after another, and no trial ended in between")
        return "failed"

    def _signal(self, number: int) -> None:
        for worker in self._workers:
            if worker.is_alive() and worker.pid:
                os.kill(worker.pid, number)

    def _end_at_once(self) -> None:
        """Leave no process behind, however this one goes; what they were at has its place made again."""
        if not self._workers:
            return
        self._signal(signal.SIGINT)
        self._signal(signal.SIGTERM)
        until = time.time() + PATIENCE
        for worker in self._workers:
            worker.join(max(until - time.time(), 0))
            worker.kill()
            worker.join()
        give_back_dead(self._study, self._storage, "interrupted", died=False)
