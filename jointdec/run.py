"""``python -m jointdec.run +experiment=split_loss``: train one configuration and record it. See ``--help``.

The imports stand inside the functions, so that a mistake on the command line is told before TensorFlow, MLflow and
RDKit have taken their seconds.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jointdec.command import command
from jointdec.config import Config
from jointdec.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jointdec.dataset import Dataset
    from jointdec.divergence.runaway import Runaway
    from jointdec.interrupt import StopRequest
    from jointdec.objective.formulation import Formulation
    from jointdec.problems.molecules.generation import Generated
    from jointdec.reporting.terminal import Terminal
    from jointdec.problems.molecules.specimens import Finding
    from jointdec.tracking import Tracker
    from jointdec.training.loop import Loop
    from jointdec.training.result import EpochResult

GENERATED = 10_000  # molecules drawn from the trained decoder
SHOWN = 8  # test molecules in the picture of decoded ones


class Trained(NamedTuple):
    """What a training came to.

    Attributes:
        training: the loop; None if a specimen's could not be made or failed.
        results: the epochs.
        outcome: finished, diverged, interrupted, pruned or failed.
        runaway: the first step in which a loss ran away, if one did.
        failure: what a specimen raised, if it did.
    """

    training: Loop | None
    results: list[EpochResult]
    outcome: str
    runaway: Runaway | None = None
    failure: Exception | None = None


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
    from jointdec.reporting.findings import Findings
    from jointdec.reporting.record_divergence import record_divergence
    from jointdec.reporting.record_outcome import record_outcome

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
                if dataset.is_molecules:
                    final |= judge_molecules(formulation, dataset, config.seed, folder, tracker)
            tracker.log_metrics(final)
            if results:
                record_curves(results, config, folder, tracker)
            if training and outcome == "diverged":
                divergence = record_divergence(config, dataset, training, results, trained.runaway, folder, tracker)
            if config.tracking.log_model and outcome in ("finished", "interrupted"):
                log_model(formulation, config, tracker)
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
    from jointdec.problems.molecules.load import load
    from jointdec.tracking import open_tracker

    with terminal.waiting("asking the tracking store"):
        tracker = open_tracker(config, folder, overrides)
    with terminal.preparation() as progress:
        dataset = load(config.data, progress)
    with terminal.waiting("starting TensorFlow"):
        from jointdec.training.devices import start_backend

        require_drawing()
        accelerators = start_backend(config)
        from jointdec.objective.formulation import make_formulation

        formulation = make_formulation(config)
    terminal.announce(config, dataset, formulation.count_parameters(), accelerators)
    return tracker, dataset, formulation, accelerators


def require_drawing() -> None:
    """Find out before the training whether the pictures after it can be drawn.

    Raises:
        UserError: RDKit lacks a library of the system.
    """
    try:
        from rdkit.Chem.Draw import rdMolDraw2D  # noqa: F401 (only whether it loads)
    except ImportError as error:
        raise UserError(
            f"RDKit cannot draw molecules ({error}): install the system libraries that it links to, "
            "on Debian with apt-get install libxrender1 libxext6 libexpat1."
        ) from error


def attempt(
    config: Config, formulation: Formulation, dataset: Dataset, tracker: Tracker, terminal: Terminal
) -> Trained:
    """Compile and train. What a specimen raises is part of the result, what anything else raises passes through."""
    from jointdec.interrupt import StopRequest
    from jointdec.training import make_training

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


def run_epochs(  # noqa: PLR0913, PLR0917 (one loop for all commands)
    config: Config,
    training: Loop,
    tracker: Tracker,
    terminal: Terminal,
    stop: StopRequest,
    hopeless: Callable[[EpochResult], bool] = lambda result: False,
) -> Trained:
    """Train until the last epoch, a divergence, a request to stop, or an epoch after which it is ``hopeless``."""
    from jointdec.divergence.runaway import RunawayWatch
    from jointdec.training.result import diverged_at

    results: list[EpochResult] = []
    watch, runaway = RunawayWatch(), None
    with terminal.epochs(config.training.epochs) as show:
        for epoch in range(config.training.epochs):
            result = training.run_epoch(epoch)
            results.append(result)
            tracker.log_epoch(result)
            if result.skipped:
                terminal.note(f"skipped      the batches of steps {', '.join(map(str, result.skipped))}: not finite")
            show(result)
            if runaway is None and (runaway := watch(result)):
                tracker.set_tags({"jointdec.runaway.step": runaway.step, "jointdec.runaway.head": runaway.head})
                terminal.note(f"warning      {runaway.sentence}")
            if result.diverged_at is not None and training.stops:
                break
            if runaway and config.training.on_runaway == "stop":
                return Trained(training, results, "diverged", runaway)
            if stop.made:
                return Trained(training, results, "interrupted", runaway)
            if result.diverged_at is None and hopeless(result) and epoch + 1 < config.training.epochs:
                return Trained(training, results, "pruned", runaway)
    return Trained(training, results, "finished" if diverged_at(results) is None else "diverged", runaway)


def judge_molecules(
    formulation: Formulation, dataset: Dataset, seed: int, folder: Path, tracker: Tracker
) -> Mapping[str, float]:
    """Draw test molecules beside their decoding; generate new ones: ``generate/…`` metrics and a picture."""
    import numpy as np

    from jointdec.problems.molecules.reconstruction import decode
    from jointdec.problems.molecules.pictures import decoded_figure, generated_figure, save_decoded

    test = dataset.test
    decoded = decode(**formulation.logits(test.features[:SHOWN]))
    true = test.nodes[:SHOWN].astype(np.uint8), test.edges[:SHOWN].astype(np.uint8)
    figure = decoded_figure(test.smiles[:SHOWN], true, {"decoded": decoded}, "Test molecules and their decoding")
    _keep(figure, "decoded", folder, tracker)
    save_decoded(test.smiles[:SHOWN], true, decoded, folder / "decoded.npz")
    tracker.log_artifact(folder / "decoded.npz")

    generated = generate(formulation, dataset, seed)
    _keep(generated_figure(generated.counts, f"From {GENERATED:,} draws"), "generated", folder, tracker)
    return {f"generate/{name}": value for name, value in generated.metrics.items()}


def generate(formulation: Formulation, dataset: Dataset, seed: int) -> Generated:
    """Decode random draws from the features' Gaussian, and judge the molecules."""
    import numpy as np

    from jointdec.problems.molecules.generation import generation
    from jointdec.problems.molecules.reconstruction import decode

    assert dataset.sample_features is not None
    features = dataset.sample_features(GENERATED, np.random.default_rng([seed, 0x9E4]))  # a stream of its own
    return generation(*decode(**formulation.logits(features)), dataset.train.smiles)


def record_curves(results: Sequence[EpochResult], config: Config, folder: Path, tracker: Tracker) -> None:
    """Draw losses, accuracies and gradient norms over the steps, and keep them as arrays."""
    from jointdec.reporting.curves import curves_figure
    from jointdec.reporting.record_outcome import record_arrays

    record_arrays(results, folder, tracker)
    title = f"{config.loss.name}, {config.model.name}, {config.data.name}, seed {config.seed}"
    _keep(curves_figure(results, title), "curves", folder, tracker)


def log_model(formulation: Formulation, config: Config, tracker: Tracker) -> None:
    """Record the trained network as a plain Keras model, whatever it was trained in."""
    from jointdec.problems.molecules.decoder import stock_model

    tracker.log_model(stock_model(config.model, config.training.precision, formulation.get_weights()))


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
