"""A comparison's own run in MLflow, with links to the runs that it is of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlflow.entities import RunTag
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from jointdec.comparing.comparison import Comparison
from jointdec.comparing.page import run_address
from jointdec.comparing.words import sentences
from jointdec.tracking.identity import process_tags
from jointdec.tracking.mlflow_tracker import DESCRIPTION_LIMIT, STATUS, where_is
from jointdec.tracking.store import connect
from jointdec.tracking.uri import resolve_uri

MORE = "\n\nAll runs: the artifact sources.csv."


def record(comparison: Comparison, title: str, folder: Path, tracking_uri: str | None) -> str:
    """Log the folder as a run in the experiment of the first run compared.

    Returns:
        Where it is, for people.
    """
    uri = resolve_uri(tracking_uri)
    client = connect(uri)
    experiment = str(comparison.baseline.all["experiment_id"].iloc[0])
    tags = process_tags() | resolve_tags() | {"jointdec.comparison": ",".join(comparison.by)}
    run = client.create_run(experiment, run_name=title, tags=tags)
    run_id = run.info.run_id
    outcome = "failed"
    try:
        client.log_artifacts(run_id, str(folder))
        note = _note(comparison)
        client.log_batch(run_id, tags=[RunTag(MLFLOW_RUN_NOTE, note), RunTag("jointdec.outcome", "finished")])
        outcome = "finished"
    finally:
        client.set_terminated(run_id, STATUS[outcome])
    return where_is(uri, experiment, run_id)


def _note(comparison: Comparison) -> str:
    """Markdown: what was found, and a link to every run, as many as MLflow holds characters."""
    lines = ["\n".join(f"- {sentence}" for sentence in sentences(comparison))]
    room = DESCRIPTION_LIMIT - len(MORE) - len(lines[0])
    for group in comparison.groups:
        links = ", ".join(_links(group.all[["seed", "experiment_id", "run_id"]].itertuples(index=False, name=None)))
        line = f"**{group.name}**: {links}"
        room -= len(line) + 2
        if room < 0:
            break
        lines.append(line)
    return ("\n\n".join(lines) + MORE)[:DESCRIPTION_LIMIT]


def _links(rows: object) -> Sequence[str]:
    return [f"[seed {seed}]({run_address('', experiment, run_id)})" for seed, experiment, run_id in rows]  # type: ignore[attr-defined]
