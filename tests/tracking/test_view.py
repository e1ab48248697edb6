import json

from mlflow import MlflowClient

from jointdec.tracking.store import open_store
from jointdec.tracking.view import VIEW_TAG, view_path


def test_a_new_experiment_offers_a_view_of_formulations_and_a_link_to_it(store_uri):
    client, experiment_id = open_store(store_uri, "viewed")
    tags = client.get_experiment(experiment_id).tags
    view = json.loads(tags[VIEW_TAG])
    assert view["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "loss.name"}]
    assert "metrics.`test/exact`" in view["selectedColumns"]
    assert f"({view_path(experiment_id)})" in tags["mlflow.note.content"]


def test_a_description_of_the_users_own_stays(store_uri):
    open_store(store_uri, "other")
    client = MlflowClient(store_uri)
    experiment_id = client.create_experiment("mine", tags={"mlflow.note.content": "my words"})
    open_store(store_uri, "mine")
    tags = client.get_experiment(experiment_id).tags
    assert tags["mlflow.note.content"] == "my words"
    assert VIEW_TAG in tags
