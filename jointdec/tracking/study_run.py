"""A study's run in MLflow, the parent of its trials' runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from jointdec.config import TrackingConfig
from jointdec.errors import UserError
from jointdec.tracking.environment import git_state, mend_stale_runs, process_tags
from jointdec.tracking.mlflow_run import STATUS, MlflowRun, dataset_input, quieten, where_is
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


class StudyRun(MlflowRun):
    """The run; made once for a study, taken up again by every command that goes on with it.

    Args:
        store: where it is.
        study: the study's name.
        run_id: the run's, None if there is none yet.

    Raises:
        UserError: the store has no such run.
    """

    def __init__(self, store: StudyStore, study: str, run_id: str | None) -> None:
        self._store, self._client, self._study = store, store.client, study
        tags = process_tags()
        if run_id is None:
            git = git_state(Path.cwd())
            tags |= resolve_tags() | {"jointdec.sweep": study} | ({MLFLOW_GIT_COMMIT: git.commit} if git else {})
            run = self._client.create_run(store.experiment_id, run_name=f"sweep {study}", tags=tags)
            self.run_id = run.info.run_id
            self.log_texts(environment_files(git))
            return
        self.run_id = run_id
        try:
            self._client.update_run(run_id, status="RUNNING")
            self.set_tags(tags)
        except MlflowException as error:
            raise UserError(
                f"The study {study!r} is recorded as run {run_id}, which {hide_credentials(store.uri)} does not have: "
                "give tracking.uri as the command did that began the study."
            ) from error

    @property
    def parent(self) -> Parent:
        """As its trials name it."""
        return Parent(self.run_id, self._store.experiment_id, self._study)

    @property
    def where(self) -> str:
        """Where it is, for people."""
        return where_is(self._store.uri, self._store.experiment_id, self.run_id)

    def log_datasets(self, datasets: Sequence[Dataset]) -> None:
        """Record what the study trains on. Two trials that were the first to record it at once would fail in MLflow."""
        self._client.log_inputs(self.run_id, [dataset_input(dataset) for dataset in datasets])

    def log_metrics(self, values: Mapping[str, float]) -> None:
        """Record what it came to."""
        for name, value in values.items():
            self._client.log_metric(self.run_id, name, value)

    def end_trial(self, run_id: str) -> None:
        """End the record of a trial whose worker could not: it is KILLED and interrupted."""
        self._client.set_tag(run_id, "jointdec.outcome", "interrupted")
        self._client.set_terminated(run_id, "KILLED")

    def finish(self, outcome: str) -> None:
        """End the run: finished, interrupted or failed."""
        self.set_tags({"jointdec.outcome": outcome})
        self._client.set_terminated(self.run_id, STATUS[outcome])
