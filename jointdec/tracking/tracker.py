"""What a run tells its record, and the choice of where that is: ``tracking=mlflow`` or ``tracking=none``."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from jointdec.config import Config
from jointdec.errors import UserError, did_you_mean
from jointdec.training.result import EpochResult

if TYPE_CHECKING:
    import keras

    from jointdec.dataset import Dataset


class Tracker:
    """A run's record, begun and ended by a ``with`` block; by itself it keeps nothing, `MlflowTracker` does.

    Leaving the block ends the record, unless `finish` did: as ``interrupted`` when a KeyboardInterrupt passes
    through, as ``failed`` with the traceback when another exception does, else as ``finished``.

    Attributes:
        run_id: MLflow's id of the run; None when nothing is recorded.
        where: where the record is, for people; without credentials.
    """

    run_id: str | None = None
    where: str = "nowhere (tracking=none)"

    def log_devices(self, accelerators: Sequence[str]) -> None:
        """Record the machine: CPU, memory, system, and these names of accelerators."""

    def log_dataset(self, dataset: Dataset) -> None:
        """Record the data set's name, digest and shapes, and the records it skipped."""

    def log_arrays(self, name: str, digest: str, shapes: Mapping[str, Sequence[int]]) -> None:
        """Record arrays that a user handed over: a name, a digest of their numbers, and the shape of each."""

    def log_epoch(self, result: EpochResult) -> None:
        """Record an epoch's curves: ``step/…`` over the global step, ``train|val|time/…`` over the epoch."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record further metrics, each at this step of its own axis."""

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file into the record, below ``folder`` there."""

    def log_model(self, model: keras.Model) -> str | None:
        """Store a trained model built of Keras's own layers; returns the URI that loads it."""

    def set_tags(self, tags: Mapping[str, str | int | float]) -> None:
        """Set or replace tags."""

    def describe(self, markdown: str) -> None:
        """Give the run the description that people read first."""

    def finish(self, outcome: str) -> None:
        """End the record, after everything handed over is written.

        Args:
            outcome: finished, specimen_failed, diverged, pruned, interrupted or failed.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Untracked(Tracker):
    """``tracking=none``: nothing is recorded."""


class Parent(NamedTuple):
    """The run that a trial's run is a child of.

    Attributes:
        run_id: its id.
        experiment_id: the experiment's.
        study: the study's name.
    """

    run_id: str
    experiment_id: str
    study: str


class TrialOf(NamedTuple):
    """What makes a run one trial of many: it is named after its point and recorded in brief.

    Attributes:
        parent: the study's run.
        number: of the trial.
        point: key -> value, what the sampler chose.
    """

    parent: Parent
    number: int
    point: Mapping[str, object]


def open_tracker(config: Config, folder: Path, overrides: Sequence[str], trial: TrialOf | None = None) -> Tracker:
    """Find the place of the record that ``config.tracking`` asks for; the ``with`` block then starts it.

    Args:
        config: the checked configuration.
        folder: the run's output folder, recorded as the tag ``jointdec.folder``.
        overrides: what the user typed, in Hydra's syntax.
        trial: of a sweep, which trial this is.

    Raises:
        UserError: the tracking store does not exist, does not answer, or cannot be written.
    """
    if config.tracking.name == "none":
        return Untracked()
    from jointdec.tracking.uri import resolve_uri

    uri = resolve_uri(config.tracking.uri)  # a misspelt one is refused before MLflow's 2 s of import
    from jointdec.tracking.mlflow_tracker import MlflowTracker
    from jointdec.tracking.records import run_of_config

    return MlflowTracker(uri, run_of_config(config, folder, overrides, trial), trial)


def open_fit_tracker(  # noqa: PLR0913, PLR0917 (all that is known of a run of the user's own model)
    tracking: str,
    experiment: str,
    name: str | None,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    folder: Path | None,
    total_steps: int,
) -> Tracker:
    """Find the place of the record of a compiled Keras model's training; the ``with`` block then starts it.

    Args:
        tracking: ``mlflow`` (MLFLOW_TRACKING_URI, else mlflow.db in the working folder), ``none``, or a tracking URI.
        experiment: the name of MLflow's experiment.
        name: the run's; None for one made of the model's name.
        tags: the user's and the caller's.
        params: what `jointdec.reporting.fit_record.params_of` found, recorded as parameters and as config/params.json.
        folder: the run's output folder, if there is one.
        total_steps: how many steps the training will have.

    Raises:
        UserError: the tracking store does not exist, does not answer, or cannot be written.
    """
    if tracking == "none":
        return Untracked()
    from jointdec.tracking.uri import resolve_uri

    if tracking != "mlflow" and ":" not in tracking:
        raise UserError(
            f"tracking is {tracking!r}{did_you_mean(tracking, ['mlflow', 'none'])}, but must be 'mlflow', 'none' or a "
            "tracking URI such as 'sqlite:////absolute/path/mlflow.db' or 'http://host:5000'."
        )
    uri = resolve_uri(None if tracking == "mlflow" else tracking, "tracking")
    from jointdec.tracking.mlflow_tracker import MlflowTracker
    from jointdec.tracking.records import NewRun

    run = NewRun(
        experiment=experiment,
        name=name or f"{params.get('model.name', 'fit')} {secrets.token_hex(2)}",
        tags={**tags, **({"jointdec.folder": str(folder.absolute())} if folder else {})},
        params=params,
        files={"config/params.json": json.dumps(dict(params), indent=2)},
        total_steps=lambda _: total_steps,
    )
    return MlflowTracker(uri, run)
