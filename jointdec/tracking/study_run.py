"""A study's run in MLflow, the parent of its trials' runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_RUN_NOTE

from jointdec.config import TrackingConfig
from jointdec.errors import UserError
from jointdec.tracking.environment import git_state, mend_stale_runs, process_tags
from jointdec.tracking.mlflow_tracker import (
    DESCRIPTION_LIMIT,
    STATUS,
    dataset_input,
    log_params,
    log_texts,
    quieten,
    where_is,
)
from jointdec.tracking.records import environment_files
from jointdec.tracking.store import open_store
from jointdec.tracking.tracker import Parent
from jointdec.tracking.uri import hide_credentials, resolve_uri

if TYPE_CHECKING:
    from jointdec.dataset import Dataset


class StudyStore(NamedTuple):
    """The tracking store that a study is recorded in, and the experiment there."""

    uri: str
    client: MlflowClient
    experiment_id: str


def open_study_store(config: TrackingConfig) -> StudyStore:
    """The store, initialised, so that workers may come; runs of processes that died are mended.

    Raises:
        UserError: it cannot be used.
    """
    quieten()
    uri = resolve_uri(config.uri)
    client, experiment = open_store(uri, config.experiment)
    mend_stale_runs(client, experiment)
    return StudyStore(uri, client, experiment)


class StudyRun:
    """The run; made once for a study, taken up again by every command that goes on with it.

    Args:
        store: where it is.
        study: the study's name.
        run_id: the run's, None if there is none yet.

    Raises:
        UserError: the store has no such run.
    """

    def __init__(self, store: StudyStore, study: str, run_id: str | None) -> None:
        self._store, self._client = store, store.client
        tags = process_tags()
        if run_id is None:
            git = git_state(Path.cwd())
            tags |= resolve_tags() | {"jointdec.sweep": study} | ({MLFLOW_GIT_COMMIT: git.commit} if git else {})
            run = self._client.create_run(store.experiment_id, run_name=f"sweep {study}", tags=tags)
            run_id = run.info.run_id
            self.parent = Parent(run_id, store.experiment_id, study)
            self.log_texts(environment_files(git))
            return
        self.parent = Parent(run_id, store.experiment_id, study)
        try:
            self._client.update_run(run_id, status="RUNNING")
            self.set_tags(tags)
        except MlflowException as error:
            raise UserError(
                f"The study {study!r} is recorded as run {run_id}, which {hide_credentials(store.uri)} does not have: "
                "give tracking.uri as the command did that began the study."
            ) from error

    @property
    def where(self) -> str:
        """Where it is, for people."""
        return where_is(self._store.uri, self.parent.experiment_id, self.parent.run_id)

    def log_params(self, values: Mapping[str, str]) -> None:
        """Record what defines the study; the same values again change nothing."""
        log_params(self._client, self.parent.run_id, values)

    def log_datasets(self, datasets: Sequence[Dataset]) -> None:
        """Record what the study trains on. Two trials that were the first to record it at once would fail in MLflow."""
        self._client.log_inputs(self.parent.run_id, [dataset_input(dataset) for dataset in datasets])

    def log_metrics(self, values: Mapping[str, float]) -> None:
        """Record what it came to."""
        for name, value in values.items():
            self._client.log_metric(self.parent.run_id, name, value)

    def log_texts(self, files: Mapping[str, str]) -> None:
        """Upload texts under these paths."""
        log_texts(self._client, self.parent.run_id, files)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file into the record."""
        self._client.log_artifact(self.parent.run_id, str(path), folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags."""
        self._client.log_batch(self.parent.run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def describe(self, markdown: str) -> None:
        """Give the run the description that people read first."""
        self.set_tags({MLFLOW_RUN_NOTE: markdown[:DESCRIPTION_LIMIT]})

    def end_trial(self, run_id: str) -> None:
        """End the record of a trial whose worker could not: it is KILLED and interrupted."""
        self._client.set_tag(run_id, "jointdec.outcome", "interrupted")
        self._client.set_terminated(run_id, "KILLED")

    def finish(self, outcome: str) -> None:
        """End the run: finished, interrupted or failed."""
        self.set_tags({"jointdec.outcome": outcome})
        self._client.set_terminated(self.parent.run_id, STATUS[outcome])
