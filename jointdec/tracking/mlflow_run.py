"""What every run in MLflow can do, be it a training's or a study's, and how MLflow is spoken to."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.numpy_dataset import from_numpy
from mlflow.entities import Dataset as InputDataset
from mlflow.entities import DatasetInput, InputTag, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_RUN_NOTE

from jointdec.dataset import leaves
from jointdec.tracking.metrics import mlflow_name
from jointdec.tracking.uri import SERVERS, hide_credentials, scheme_of

if TYPE_CHECKING:
    from jointdec.dataset import Dataset

STATUS = {
    "finished": "FINISHED",
    "specimen_failed": "FINISHED",  # it failed as announced, which is its success
    "diverged": "FAILED",
    "failed": "FAILED",
    "pruned": "KILLED",
    "interrupted": "KILLED",
}
PARAMS_PER_CALL = 100  # MLflow's limit
PARAM_LIMIT = 6000  # characters, MLflow's
CUT = " … (cut at MLflow's 6,000 characters)"  # the artifacts under config/ have it whole
SYSTEM_METRICS_SECONDS = "5"  # a dozen points in a run of a minute; MLflow's default of 10 gives five
DESCRIPTION_LIMIT = 8000  # characters in a tag


class MlflowRun:
    """A run that there is: texts, files, parameters and tags go into it.

    Attributes:
        run_id: MLflow's id.
    """

    run_id: str
    _client: MlflowClient

    def log_params(self, values: Mapping[str, str]) -> None:
        """Record parameters, cut where they are too long for MLflow; the same values again change nothing."""
        params = [Param(mlflow_name(key), _cut(value)) for key, value in values.items()]
        for first in range(0, len(params), PARAMS_PER_CALL):
            self._client.log_batch(self.run_id, params=params[first : first + PARAMS_PER_CALL])

    def log_texts(self, files: Mapping[str, str]) -> None:
        """Upload texts under these paths, in one call."""
        with TemporaryDirectory() as name:
            for path, text in files.items():
                file = Path(name, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8", errors="surrogateescape")
            self._client.log_artifacts(self.run_id, name)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file into the record, below ``folder`` there."""
        self._client.log_artifact(self.run_id, str(path), folder)

    def set_tags(self, tags: Mapping[str, str | int | float]) -> None:
        """Set or replace tags."""
        self._client.log_batch(self.run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    def describe(self, markdown: str) -> None:
        """Give the run the description that people read first. MLflow holds 8000 characters; the rest is cut."""
        self.set_tags({MLFLOW_RUN_NOTE: markdown[:DESCRIPTION_LIMIT]})


def dataset_input(dataset: Dataset) -> DatasetInput:
    """The training split as MLflow's record of a run's input."""
    described = from_numpy(
        _features(dataset.train.x),
        source=CodeDatasetSource({"mlflow.source.name": dataset.source}),
        targets=dict(dataset.train.y),
        name=dataset.name,
        digest=dataset.digest,
    )
    return as_input(InputDataset(**described.to_dict()))


def _features(x: Any) -> Any:  # noqa: ANN401 (a tree of arrays; MLflow knows an array or a dict of them)
    found = list(leaves(x))
    return found[0] if len(found) == 1 else {f"x{number}": array for number, array in enumerate(found)}


def as_input(described: InputDataset) -> DatasetInput:
    """A data set as what a run trains on."""
    return DatasetInput(described, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])


def quieten() -> None:
    """Keep MLflow's progress reports off the terminal; its warnings and errors still get there."""
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        logging.getLogger("mlflow").setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", SYSTEM_METRICS_SECONDS)


def where_is(uri: str, experiment: str, run_id: str) -> str:
    """Where a run is, for people; without credentials."""
    if scheme_of(uri) in SERVERS:
        return f"{hide_credentials(uri).rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"
    return f"run {run_id}, seen with: mlflow ui --backend-store-uri {shlex.quote(hide_credentials(uri))}"


def _cut(value: str) -> str:
    return value if len(value) <= PARAM_LIMIT else value[: PARAM_LIMIT - len(CUT)] + CUT
