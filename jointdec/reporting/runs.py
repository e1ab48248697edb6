"""Runs in MLflow as pandas tables, for those who go on by themselves and for ``jointdec.compare``.

>>> from jointdec.reporting import load_curves, load_runs
>>> runs = load_runs(experiment="jointdec")
>>> runs.groupby("loss.name")["test/price_mae"].describe()
>>> curves = load_curves(runs, ["step/price", "val/price_mae"])
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from jointdec.errors import UserError, did_you_mean
from jointdec.reporting.curve_arrays import AXES, axis_of
from jointdec.tracking.records import with_added
from jointdec.tracking.store import connect
from jointdec.tracking.uri import hide_credentials, in_brief, resolve_uri
from jointdec.training.result import Values

if TYPE_CHECKING:
    from mlflow.store.entities import PagedList

FACTS = (
    *("run_id", "run_name", "experiment_id", "status", "outcome", "started"),
    *("data_digest", "devices", "commit", "artifacts"),
)
TRAINED = "tags.`jointdec.formulation` LIKE '%'"  # a sweep's own run and a comparison have no formulation
PAGE = 1000  # runs in an answer
IDS = 200  # in a filter
THREADS = 8  # that fetch files of runs


def load_runs(
    tracking_uri: str | None = None,
    experiment: str = "jointdec",
    filter: str = "",
    run_ids: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Trained runs, trials of sweeps among them, the earliest first.

    Args:
        tracking_uri: of the store; by default MLFLOW_TRACKING_URI, else mlflow.db in the working folder.
        experiment: MLflow's name of it; not asked when ``run_ids`` are given.
        filter: in MLflow's syntax, as ``params.`loss.name` = 'split' and metrics.`test/loss` < 0.1``.
        run_ids: just these runs, from whichever experiment.

    Returns:
        One row a run. Columns: run_id, run_name, experiment_id, status (MLflow's), outcome (finished, diverged,
        specimen_failed, pruned, interrupted, failed, running), started (UTC), data_digest, devices, commit (of the
        code), artifacts (where they are); every configuration key under its dotted name (``loss.name``,
        ``model.alpha``, ``seed``) as number, truth value or text (lists as JSON); every metric's last value under its
        name in MLflow (``test/loss``); and the tags of a divergence (``divergence.step`` and so on). What a run lacks
        is missing (NaN or None).

    Raises:
        UserError: the store does not answer, or there is no such experiment or run, or MLflow refuses the filter.
    """
    client = connect(resolve_uri(tracking_uri))
    if run_ids is not None:
        found = _by_id(client, list(dict.fromkeys(run_ids)), filter)
    else:
        found = list(_search(client, [_experiment_id(client, experiment)], filter))
    table = pd.DataFrame([_row(run) for run in found])
    if table.empty:
        return pd.DataFrame(columns=list(FACTS))
    return table.sort_values("started", kind="stable", ignore_index=True)


def load_curves(runs: pd.DataFrame, names: Sequence[str], tracking_uri: str | None = None) -> pd.DataFrame:
    """Curves of runs, from their artifacts curves.npz: every step, to the last bit.

    Args:
        runs: rows of `load_runs`.
        names: ``step/loss|HEAD|grad_norm``, ``layer/NAME`` (2-norm of that layer's gradient), ``train/…``, ``val/…``,
            and ``seconds`` (wall time of an epoch's training steps).
        tracking_uri: as for `load_runs`.

    Returns:
        One row a point: run_id and name (categories), at (the global step of ``step/…`` and ``layer/…``, else the
        epoch) and value. A run without curves.npz, or without a curve of this name, has no rows.

    Raises:
        UserError: the store does not answer, or an artifact is no file of arrays.
    """
    parts = []
    for run_id, arrays in iterate_curves(runs, names, tracking_uri):
        for name in names:
            if arrays is not None and name in arrays:
                at = arrays[axis_of(name, arrays)]
                parts.append(pd.DataFrame({"run_id": run_id, "name": name, "at": at, "value": arrays[name]}))
    if not parts:
        return pd.DataFrame(columns=["run_id", "name", "at", "value"])
    return pd.concat(parts, ignore_index=True).astype({"run_id": "category", "name": "category"})


def iterate_curves(
    runs: pd.DataFrame, names: Sequence[str], tracking_uri: str | None = None
) -> Iterator[tuple[str, dict[str, Values] | None]]:
    """Run by run, in the order of the table, its id and its arrays: the axes and those of these names.

    A name that ends with a slash stands for all that begin so. The arrays are None where a run has no curves.npz.
    """
    client = connect(resolve_uri(tracking_uri))

    def read(row: tuple[str, str]) -> tuple[str, dict[str, Values] | None]:
        with TemporaryDirectory() as folder:
            file = fetch(client, *row, "curves.npz", folder)
            return row[0], None if file is None else read_some(file, names)

    with ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(read, zip(runs["run_id"], runs["artifacts"], strict=True))


def fetch(client: MlflowClient, run_id: str, artifacts: str, path: str, folder: str) -> Path | None:
    """A run's artifact as a file: itself if it lies on this machine, else fetched into the folder; None without one."""
    where = urlparse(artifacts)
    if where.scheme == "file":
        file = Path(unquote(where.path), path)
        return file if file.is_file() else None
    if not any(found.path == path for found in client.list_artifacts(run_id)):
        return None
    return Path(client.download_artifacts(run_id, path, folder))


def read_some(file: Path, names: Sequence[str]) -> dict[str, Values]:
    """The arrays of the axes and those asked for, see `iterate_curves`.

    Raises:
        UserError: it is no file of arrays.
    """
    prefixes = tuple(name for name in names if name.endswith("/"))
    try:
        with np.load(file, allow_pickle=False) as arrays:
            wanted = {*AXES, *names}
            return {name: arrays[name] for name in arrays.files if name in wanted or name.startswith(prefixes)}
    except (ValueError, OSError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"The artifact {file} is no file of arrays ({error}).") from error


def _experiment_id(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        known = [experiment.name for experiment in client.search_experiments()]
        raise UserError(
            f"There is no experiment {name!r}{did_you_mean(name, known)}: tracking.experiment can be "
            f"{', '.join(known)}; another store is tracking.uri=..."
        )
    return found.experiment_id


def _by_id(client: MlflowClient, run_ids: list[str], condition: str) -> list[Run]:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found: list[Run] = []
    for first in range(0, len(run_ids), IDS):
        ids = ", ".join(f"'{run_id}'" for run_id in run_ids[first : first + IDS] if "'" not in run_id)
        part = f"attributes.run_id IN ({ids})"
        found += _search(client, experiments, f"{part} and {condition}" if condition else part)
    known = {run.info.run_id for run in found}
    if not condition and (missing := [run_id for run_id in run_ids if run_id not in known]):
        raise UserError(
            f"There is no trained run {missing[0]!r}"
            + (f" (nor {len(missing) - 1} more)" if len(missing) > 1 else "")
            + ": take ids from the last line of a run, from its summary.json or from MLflow's page."
        )
    return found


def _search(client: MlflowClient, experiments: list[str], condition: str) -> Iterator[Run]:
    token: str | None = None
    while token != "":
        try:
            page: PagedList[Run] = client.search_runs(
                experiments,
                f"{TRAINED} and {condition}" if condition else TRAINED,
                max_results=PAGE,
                page_token=token,
            )
        except MlflowException as error:
            raise UserError(
                f"MLflow cannot search for filter {condition!r} ({in_brief(hide_credentials(str(error)))}): it is "
                'written as params.`loss.name` = "split" and metrics.`test/loss` < 0.1'
            ) from error
        yield from page
        token = page.token or ""


def _row(run: Run) -> dict[str, Any]:
    info, tags = run.info, run.data.tags
    return {
        "run_id": info.run_id,
        "run_name": info.run_name,
        "experiment_id": info.experiment_id,
        "status": info.status,
        "outcome": tags.get("jointdec.outcome", "running"),
        "started": pd.Timestamp(info.start_time, unit="ms", tz="UTC"),
        "data_digest": tags.get("jointdec.data_digest"),
        "devices": tags.get("jointdec.devices"),
        "commit": tags.get(MLFLOW_GIT_COMMIT),
        "artifacts": info.artifact_uri,
        **_divergence(tags),
        **with_added({key: _value(text) for key, text in run.data.params.items()}),
        **run.data.metrics,
    }


def _divergence(tags: Mapping[str, str]) -> dict[str, Any]:
    prefix = "jointdec."
    return {key[len(prefix) :]: _value(text) for key, text in tags.items() if key.startswith(f"{prefix}divergence.")}


def _value(text: str) -> Any:  # noqa: ANN401 (any scalar or list of a configuration)
    """What `jointdec.tracking.records.flat` wrote."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return json.dumps(value) if isinstance(value, list) else value
