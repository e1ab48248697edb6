"""``python -m jointdec.run +experiment=split_loss``: train one configuration and record it. See ``--help``.

The imports stand inside the functions, so that a mistake on the command line is told before TensorFlow, MLflow and
RDKit have taken their seconds.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jointdec.command import command
from jointdec.config import Config

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jointdec.dataset import Dataset
    from jointdec.objective.formulation import Formulation
    from jointdec.problems.molecules.specimens import Finding
    from jointdec.reporting.terminal import Terminal
    from jointdec.tracking import Tracker
    from jointdec.training.epochs import Trained
    from jointdec.training.result import EpochResult


def train(config: Config, folder: Path, overrides: Sequence[str]) -> str:
    """Train, test and record one run.

    Args:
        config: the checked configuration.
        folder: where summary.json and the figures go; it exists.
        overrides: what the user typed.

    Returns:
        finished, diverged, interrupted; of a specimen specimen_failed, or failed if it does not as it declares.

    Raises:
        UserError: the tracking store or the data cannot be used.
    """
    start = time.perf_counter()
    from jointdec.reporting.terminal import Terminal

    terminal = Terminal()
    tracker, dataset, formulation, accelerators = prepare(config, folder, overrides, terminal)
    from jointdec.reporting.outcome import Findings, record_outcome
    from jointdec.reporting.record_divergence import record_divergence

    final: dict[str, float] = {}
    finding = divergence = None
    with tracker:
        tracker.log_devices(accelerators)
        tracker.log_dataset(dataset)
        trained = attempt(config, formulation, dataset, tracker, terminal)
        training, results, outcome = trained.training, trained.results, trained.outcome
        with terminal.waiting("testing, drawing, recording"):
            if training and outcome == "finished":
                final = {f"test/{name}": value for name, value in training.evaluate(dataset.test).items()}
                final |= judge(formulation, dataset, config.seed, folder, tracker)
            tracker.log_metrics(final)
            if results:
                record_curves(results, config, folder, tracker)
            if training and outcome == "diverged":
                divergence = record_divergence(config, dataset, training, results, trained.runaway, folder, tracker)
            if config.tracking.log_model and outcome in ("finished", "interrupted"):
                log_model(formulation, config, folder, tracker, terminal)
            if config.specimen and outcome != "interrupted":
                finding = judge_specimen(config, formulation, dataset, results, trained.failure, folder, tracker)
                outcome = "specimen_failed" if finding else "failed"
            findings = Findings(finding, divergence, trained.runaway)
            record_outcome(config, dataset, outcome, results, final, findings, folder, tracker, start)
    terminal.results(results, final)
    if config.specimen:
        terminal.explain(config.specimen, finding)
    if divergence:
        terminal.explain_divergence(divergence, tracker.run_id)
    terminal.farewell(outcome, folder, tracker.where)
    return outcome


def prepare(
    config: Config, folder: Path, overrides: Sequence[str], terminal: Terminal
) -> tuple[Tracker, Dataset, Formulation, list[str]]:
    """Everything that can be refused is refused here, before there is a run: the store, the data, the framework.

    Returns:
        The tracker, not yet entered; the data; the formulation with its initial weights; names of accelerators.
    """
    from jointdec.problems import find
    from jointdec.tracking import open_tracker

    with terminal.waiting("asking the tracking store"):
        tracker = open_tracker(config, folder, overrides)
    with terminal.preparation() as progress:
        dataset = find(config.problem).load(config.data, progress)
    with terminal.waiting("starting TensorFlow"):
        from jointdec.training.devices import start_backend

        if config.problem == "molecules":
            from jointdec.problems.molecules.judge import require_drawing

            require_drawing()
        accelerators = start_backend(config)
        from jointdec.objective.formulation import make_formulation
        from jointdec.training.from_config import fit_labels

        formulation = make_formulation(config, dataset.train.x)
        dataset = fit_labels(dataset, formulation)
    terminal.announce(config, dataset, formulation.count_parameters(), accelerators)
    return tracker, dataset, formulation, accelerators


def attempt(
    config: Config, formulation: Formulation, dataset: Dataset, tracker: Tracker, terminal: Terminal
) -> Trained:
    """Compile and train. What a specimen raises is part of the result, what anything else raises passes through."""
    from jointdec.interrupt import StopRequest
    from jointdec.training import make_training
    from jointdec.training.epochs import Trained, run_epochs

    try:
        with terminal.waiting("compiling"):
            training = make_training(config, formulation, dataset)
        tracker.set_tags({"jointdec.jit": str(training.jit).lower()})  # of training.jit=auto nobody else knows
        with StopRequest() as stop:
            return run_epochs(config, training, tracker, terminal, stop)
    except Exception as error:
        if config.specimen is None:
            raise
        return Trained(None, [], "failed", failure=error)


def judge(formulation: Formulation, dataset: Dataset, seed: int, folder: Path, tracker: Tracker) -> Mapping[str, float]:
    """Let the problem judge what was trained; the files that it writes are kept."""
    before = set(folder.rglob("*"))
    metrics = formulation.problem.finish(formulation, dataset, seed, folder)
    for path in sorted(path for path in set(folder.rglob("*")) - before if path.is_file()):
        inside = path.parent.relative_to(folder).as_posix()
        tracker.log_artifact(path, "figures" if path.suffix == ".png" else inside if inside != "." else None)
    return metrics


def record_curves(results: Sequence[EpochResult], config: Config, folder: Path, tracker: Tracker) -> None:
    """Draw losses, accuracies and gradient norms over the steps, and keep them as arrays."""
    from jointdec.problems import find
    from jointdec.reporting.curves import curves_figure
    from jointdec.reporting.names import words_of
    from jointdec.reporting.outcome import record_arrays

    record_arrays(results, folder, tracker)
    title = f"{config.loss.name}, {config.model.name}, {config.data.name}, seed {config.seed}"
    _keep(curves_figure(results, title, words_of(find(config.problem).name)), "curves", folder, tracker)


def log_model(formulation: Formulation, config: Config, folder: Path, tracker: Tracker, terminal: Terminal) -> None:
    """Record the trained network as a plain Keras model, whatever it was trained in.

    Of a model of the user's that Keras cannot save as a whole, as without a ``get_config``, the weights are kept.
    """
    model = formulation.problem.trained_model(formulation, config)
    try:
        tracker.log_model(model)
    except Exception as error:
        if config.problem == "molecules":
            raise
        from jointdec.problems.blame import blame

        model.save_weights(folder / "model.weights.h5")
        tracker.log_artifact(folder / "model.weights.h5")
        terminal.note(
            f"warning      The model is kept by its weights alone, model.weights.h5: {blame(error, 'saving')}"
        )


def judge_specimen(  # noqa: PLR0913, PLR0917 (all that a run knows)
    config: Config,
    formulation: Formulation,
    dataset: Dataset,
    results: Sequence[EpochResult],
    failure: Exception | None,
    folder: Path,
    tracker: Tracker,
) -> Finding | None:
    """Hold a specimen's declaration against what happened, and record it; None if nothing of it came true.

    Raises:
        Exception: the failure itself, if it is not the declared one.
    """
    from jointdec.problems.molecules.specimens import eager_failure, find

    attempts = (failure, eager_failure(config, formulation, dataset)) if failure else ()
    if failures := [error for error in attempts if error]:
        traces = ("".join(traceback.format_exception(error)) for error in failures)
        file = folder / "traceback.txt"
        file.write_text("\nThe first batch again, eagerly:\n\n".join(traces), encoding="utf-8")
        tracker.log_artifact(file, "specimen")
    finding = find(config, formulation, dataset, results, failures)
    if finding is not None:
        tracker.set_tags({"jointdec.specimen": finding.kind})
    elif failure is not None:
        raise failure
    return finding


def _keep(figure: Figure, name: str, folder: Path, tracker: Tracker) -> None:
    path = folder / f"{name}.png"
    figure.savefig(path)
    tracker.log_artifact(path, "figures")


if __name__ == "__main__":
    command(train)
