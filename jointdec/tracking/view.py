"""What MLflow's page shows of an experiment: the columns that tell runs apart, and charts with a line a formulation.

MLflow keeps what a user chose in the browser, so a default for everybody can only be a *shared view*: the page's state
as JSON in a tag of the experiment, opened by a link, which stands in the experiment's description.
"""

from __future__ import annotations

import json

from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

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
