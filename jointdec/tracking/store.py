"""Opens the tracking store: does it answer, is its database initialised, which experiment is it.

Two things MLflow leaves to its caller: it retries a server that is not there for minutes, so the server is
asked once first; and eight processes that meet a fresh SQLite database together run its migrations together,
and seven of them die, so whoever opens a database holds a lock meanwhile (0.1 s when it is initialised).

A new experiment gets a view: the columns that tell runs apart, and charts with a line a formulation. MLflow keeps what
a user chose in the browser, so a default for everybody can only be a *shared view*: the page's state as JSON in a tag
of the experiment, opened by a link, which stands in the experiment's description.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from mlflow.utils.rest_utils import http_request
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from jointdec.errors import UserError
from jointdec.tracking.uri import (
    ANSWER_SECONDS,
    SERVERS,
    database_problem,
    file_lock,
    hide_credentials,
    in_brief,
    scheme_of,
    sqlite_path,
)

KEY = "jointdec"
VIEW_TAG = f"mlflow.sharedViewState.{KEY}"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # else the page guesses, and may think of chatbots
COLUMNS = (
    *("tags.`jointdec.outcome`", "params.`loss.name`", "params.`model.name`", "params.`seed`"),
    *("metrics.`test/exact`", "metrics.`test/node_accuracy`", "metrics.`test/edge_accuracy`"),
    *("metrics.`val/exact`", "metrics.`time/ms_per_step`"),
)
STATE = {
    "selectedColumns": COLUMNS,
    "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": "loss.name"}]},
    "useGroupedValuesInCharts": True,
    "runsHiddenMode": "SHOW_ALL",  # by itself it draws the first ten runs
}


def open_store(uri: str, experiment: str) -> tuple[MlflowClient, str]:
    """A client of the store and the experiment's id; both are made where they do not exist yet.

    Args:
        uri: an absolute tracking URI, from `jointdec.tracking.uri.resolve_uri`.
        experiment: the experiment's name.

    Raises:
        UserError: nobody answers, the database cannot be written, its driver is missing, its schema is not
            this MLflow's, or the experiment was deleted.
    """
    try:
        if scheme_of(uri) in SERVERS:
            _ask_server(uri)
            return _open(uri, experiment, artifacts=None)
        if scheme_of(uri) == "sqlite":
            database = sqlite_path(uri)
            with file_lock(Path(f"{database}.lock")):
                _ask_file(database)
                return _open(uri, experiment, artifacts=database.parent / "mlartifacts")
        _ask_database(uri)
        digest = hashlib.sha256(uri.encode()).hexdigest()[:16]
        with file_lock(Path(tempfile.gettempdir()) / f"jointdec-mlflow-{digest}.lock"):
            return _open(uri, experiment, artifacts=Path.cwd() / "mlartifacts")
    except (MlflowException, SQLAlchemyError, sqlite3.Error, ImportError, OSError) as error:
        raise _cannot_use(uri, str(error)) from error


def connect(uri: str) -> MlflowClient:
    """A client of a store that is there already.

    Args:
        uri: an absolute tracking URI, from `jointdec.tracking.uri.resolve_uri`.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    try:
        if scheme_of(uri) in SERVERS:
            _ask_server(uri)
        elif scheme_of(uri) == "sqlite":
            if not sqlite_path(uri).is_file():
                raise _cannot_use(uri, "there is no such file")
        else:
            _ask_database(uri)
        if scheme_of(uri) not in SERVERS and not _is_mlflow_s(uri):
            raise _cannot_use(uri, "MLflow has recorded nothing in it")
        return MlflowClient(uri)
    except (MlflowException, SQLAlchemyError, ImportError, OSError) as error:
        raise _cannot_use(uri, str(error)) from error


def _open(uri: str, experiment: str, artifacts: Path | None) -> tuple[MlflowClient, str]:
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        location = artifacts.as_uri() if artifacts else None  # a server decides for itself
        try:
            found = client.get_experiment(client.create_experiment(experiment, artifact_location=location))
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
            found = client.get_experiment_by_name(experiment)  # another process was quicker
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise UserError(
            f"tracking.experiment {experiment!r} was deleted in {hide_credentials(uri)}: choose another name,"
            f" or bring it back with: mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    offer_view(client, found)
    return client, found.experiment_id


def _ask_file(database: Path) -> None:
    with closing(sqlite3.connect(database, timeout=20)) as connection:  # MLflow waits 20 s for a writer, too
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


def _ask_server(uri: str) -> None:
    """One request without retries. Any answer but a server error will do: a proxy may hide /health."""
    try:
        response = http_request(  # type: ignore[no-untyped-call]  # MLflow's credentials and certificates
            get_default_host_creds(uri),  # type: ignore[no-untyped-call]
            "/health",
            "GET",
            timeout=ANSWER_SECONDS,
            max_retries=0,
            raise_on_status=False,
        )
    except MlflowException as error:
        raise _cannot_use(uri, "no MLflow server answers there") from error
    if response.status_code >= 500:
        raise _cannot_use(uri, f"the server answers with HTTP status {response.status_code}")


def _ask_database(uri: str) -> None:
    if problem := database_problem(uri):
        raise _cannot_use(uri, problem)


def _is_mlflow_s(uri: str) -> bool:
    """Whether the database has MLflow's tables. A client would make them, also in somebody else's database."""
    engine = create_engine(uri)
    try:
        return inspect(engine).has_table("experiments")
    finally:
        engine.dispose()


def _cannot_use(uri: str, reason: str) -> UserError:
    return UserError(
        f"The tracking store {hide_credentials(uri)} cannot be used ({in_brief(reason)}): start or mend it, name "
        "another with tracking.uri or the variable MLFLOW_TRACKING_URI, or record nothing with tracking=none."
    )


def view_path(experiment_id: str) -> str:
    """The link to the view, relative to MLflow's page."""
    return f"#/experiments/{experiment_id}/runs?viewStateShareKey={KEY}&compareRunsMode=CHART"


def offer_view(client: MlflowClient, experiment: Experiment) -> None:
    """Put the view, and a description with a link to it, into an experiment that has none."""
    if VIEW_TAG in experiment.tags:
        return
    path = view_path(experiment.experiment_id)
    note = (
        "Runs of jointdec: one network, several outputs, one loss. "
        f"[The formulations side by side]({path}), a line each, averaged over seeds; with intervals: "
        "`python -m jointdec.compare`."
    )
    for key, value in {VIEW_TAG: json.dumps(STATE), MLFLOW_RUN_NOTE: note, **KIND}.items():
        if key not in experiment.tags:  # a description of the user's own stays
            client.set_experiment_tag(experiment.experiment_id, key, value)
