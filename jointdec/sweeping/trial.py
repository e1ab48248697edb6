"""One trial: a point of the space, trained, recorded and told to the study."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from optuna.trial import Trial, TrialState

from jointdec.config import Config
from jointdec.dataset import Dataset, silent
from jointdec.interrupt import StopRequest
from jointdec.objective.formulation import Formulation, make_formulation
from jointdec.problems import find
from jointdec.reporting.outcome import Findings, last_metrics, record_arrays, record_outcome
from jointdec.reporting.record_divergence import record_divergence
from jointdec.reporting.terminal import Terminal
from jointdec.sweeping.plan import Plan, SweepConfig, epoch_metrics
from jointdec.sweeping.points import overrides_of
from jointdec.sweeping.study import EPOCHS, RUN_ID
from jointdec.tracking import TrialOf, open_tracker
from jointdec.training import make_training
from jointdec.training.epochs import Trained, run_epochs
from jointdec.training.from_config import fit_labels
from jointdec.training.loop import Loop

if TYPE_CHECKING:
    from jointdec.divergence.record import Divergence
    from jointdec.tracking import Parent
    from jointdec.training.result import EpochResult


KEPT = 8  # programs; each takes some 100 MB


class Program(NamedTuple):
    """Something to train: data, formulation, loop."""

    dataset: Dataset
    formulation: Formulation
    training: Loop


class Programs:
    """Keeps the programs that were used last, and the data."""

    def __init__(self) -> None:
        self._programs: OrderedDict[str, Program] = OrderedDict()
        self._datasets: dict[str, Dataset] = {}
        self.compiled = 0

    def get(self, config: Config) -> Program:
        """A program that trains this configuration from its initial weights."""
        from jointdec.training.problem_loop import CompiledTraining, compiled_for

        if config.training.name != "compiled" or config.loss.name == "tf1_graph":
            return self._make(config)
        key = repr(compiled_for(config))
        if key in self._programs:
            program = self._programs[key]
            assert isinstance(program.training, CompiledTraining)
            program.training.start_over(config)
        else:
            program = self._programs[key] = self._make(config)
        self._programs.move_to_end(key)
        if len(self._programs) > KEPT:
            self._programs.popitem(last=False)
        return program

    def _make(self, config: Config) -> Program:
        self.compiled += 1
        dataset = self._data(config)
        formulation = make_formulation(config, dataset.train.x)
        dataset = fit_labels(dataset, formulation)
        return Program(dataset, formulation, make_training(config, formulation, dataset))

    def _data(self, config: Config) -> Dataset:
        key = repr(config.data)
        if key not in self._datasets:
            self._datasets[key] = find(config.problem).load(config.data, silent)
        return self._datasets[key]


class Told(NamedTuple):
    """What the study is told of a trial; ``values`` only where it is complete."""

    state: TrialState
    values: Sequence[float] | None
    cause: str | None


class Trials:
    """Runs trials of one study, one after another, in this process.

    Args:
        plan: the study; trial 7 writes into ``trials/00007`` of its folder.
        parent: the study's run in MLflow, if there is one.
        stop: whether to stop after the running epoch.
    """

    def __init__(self, plan: Plan, parent: Parent | None, stop: StopRequest) -> None:
        self._plan, self._parent, self._stop = plan, parent, stop
        self._programs = Programs()
        self._terminal = Terminal(quiet=True)

    def run(self, trial: Trial, config: Config, accelerators: Sequence[str]) -> Told | None:
        """Train a point and record it.

        Args:
            trial: Optuna's, with all its parameters suggested; it gets the values of the epochs.
            config: the configuration at its point.
            accelerators: names of what this process trains on.

        Returns:
            What to tell the study; None if it was interrupted.
        """
        start = time.perf_counter()
        folder = self._plan.folder / "trials" / f"{trial.number:05}"
        folder.mkdir(parents=True, exist_ok=True)
        program = self._programs.get(config)
        overrides = overrides_of(self._plan.fixed, trial.params)
        of = TrialOf(self._parent, trial.number, trial.params) if self._parent else None
        with open_tracker(config, folder, overrides, of) as tracker:
            if tracker.run_id:
                trial.set_user_attr(RUN_ID, tracker.run_id)
            tracker.log_devices(accelerators)
            tracker.log_dataset(program.dataset)
            tracker.set_tags({"jointdec.jit": str(program.training.jit).lower()})
            watch = _Watch(trial, self._plan.settings, epoch_metrics(find(config.problem)))
            trained = run_epochs(config, program.training, tracker, self._terminal, self._stop, watch)
            final = self._finish(config, program, folder) if trained.outcome == "finished" else {}
            tracker.log_metrics(final)
            divergence = None
            training, results, outcome, runaway, _ = trained
            record_arrays(results, folder, tracker)
            if outcome == "diverged":
                assert training is not None
                divergence = record_divergence(config, program.dataset, training, results, runaway, folder, tracker)
            trial.set_user_attr(EPOCHS, len(results))
            findings = Findings(divergence=divergence, runaway=runaway)
            record_outcome(config, program.dataset, outcome, results, final, findings, folder, tracker, start)
        if outcome == "interrupted":
            return None
        return tell(self._plan.settings, trained, final, divergence)

    def _finish(self, config: Config, program: Program, folder: Path) -> Mapping[str, float]:
        """What the problem judges a trained model by, where the objective asks for it."""
        problem = find(config.problem)
        if set(self._plan.settings.objective) <= set(epoch_metrics(problem)):
            return {}
        return problem.finish(program.formulation, program.dataset, config.seed, folder)


class _Watch:
    """Reports each epoch's objective to the pruner, and asks it."""

    def __init__(self, trial: Trial, settings: SweepConfig, known: Sequence[str]) -> None:
        self._trial, self._objective = trial, settings.objective[0]
        self._asks = len(settings.objective) == 1 and self._objective in known

    def __call__(self, result: EpochResult) -> bool:
        """Whether the trial is hopeless. A value that is not finite never gets into the study."""
        if not self._asks:
            return False
        value = last_metrics(result)[self._objective]
        if math.isfinite(value):
            self._trial.report(value, result.epoch + 1)
        return self._trial.should_prune()


def tell(settings: SweepConfig, trained: Trained, final: Mapping[str, float], divergence: Divergence | None) -> Told:
    """What became of a trial, as Optuna's state; no NaN and no Inf among the values."""
    if trained.outcome == "diverged":
        assert divergence is not None
        cause = f"{divergence.cause}: {divergence.sentence}"
        if settings.penalty:
            return Told(TrialState.COMPLETE, settings.penalty, cause)
        return Told(TrialState.FAIL, None, cause)
    if trained.outcome == "pruned":
        return Told(TrialState.PRUNED, None, None)
    metrics = {**last_metrics(trained.results[-1]), **final}
    values = [metrics[name] for name in settings.objective]
    for name, value in zip(settings.objective, values, strict=True):
        if not math.isfinite(value):
            return Told(TrialState.FAIL, None, f"{name} is {value} though every step was finite")
    return Told(TrialState.COMPLETE, values, None)
