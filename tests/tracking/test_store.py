import http.server
import json
import os
import socket
import sqlite3
import threading
from urllib.parse import unquote, urlsplit

import pytest
from mlflow import MlflowClient

from jointdec.errors import UserError
from jointdec.tracking.store import VIEW_TAG, open_store, view_path


@pytest.fixture
def listening():
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_the_artifacts_of_a_database_file_lie_beside_it_wherever_one_stands(store_uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    client, experiment = open_store(store_uri, "artifacts-beside")
    location = unquote(urlsplit(client.get_experiment(experiment).artifact_location).path)
    assert f"sqlite:///{location}" == store_uri.replace("mlflow.db", "mlartifacts")


def test_opening_twice_gives_the_same_experiment(store_uri):
    assert open_store(store_uri, "twice")[1] == open_store(store_uri, "twice")[1]


def test_an_initialised_database_keeps_its_schema_untouched(store_uri):
    def version():
        with sqlite3.connect(store_uri.removeprefix("sqlite:///")) as connection:
            return connection.execute("PRAGMA schema_version").fetchone()

    open_store(store_uri, "schema")
    before = version()
    open_store(store_uri, "schema-again")
    assert version() == before


def test_a_deleted_experiment_is_refused_with_the_command_that_restores_it(store_uri):
    client, experiment = open_store(store_uri, "gone")
    client.delete_experiment(experiment)
    with pytest.raises(UserError, match=f"restore --experiment-id {experiment}"):
        open_store(store_uri, "gone")


def test_a_database_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/mlflow\.db cannot be used .*tracking\.uri"):
        open_store(f"sqlite:///{tmp_path}/file/mlflow.db", "x")


def test_a_folder_is_no_database(tmp_path):
    with pytest.raises(UserError, match="unable to open database file"):
        open_store(f"sqlite:///{tmp_path}", "x")


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    text = "this is a letter to my aunt, not a database\n" * 100
    (tmp_path / "mlflow.db").write_text(text)
    with pytest.raises(UserError, match="file is not a database"):
        open_store(f"sqlite:///{tmp_path}/mlflow.db", "x")
    assert (tmp_path / "mlflow.db").read_text() == text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        open_store(f"sqlite:///{tmp_path}/mlflow.db", "x")


def test_a_server_nobody_answers_is_refused_without_its_password(free_port):
    with pytest.raises(UserError, match=r"no MLflow server answers.*MLFLOW_TRACKING_URI") as caught:
        open_store(f"http://ana:hunter22@127.0.0.1:{free_port}", "x")
    assert "hunter22" not in str(caught.value)


@pytest.mark.slow
def test_a_server_that_takes_the_call_and_stays_silent_is_refused(listening):
    with pytest.raises(UserError, match="no MLflow server answers"):
        open_store(f"http://127.0.0.1:{listening}", "x")


@pytest.mark.parametrize(("status", "says"), [(503, "HTTP status 503"), (404, "404")])
def test_a_server_that_is_down_or_no_mlflow_is_refused_at_once(status, says):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(UserError, match=says):
            open_store(f"http://127.0.0.1:{server.server_port}", "x")
        server.shutdown()


def test_a_database_server_nobody_answers_is_refused_without_its_password(free_port):
    with pytest.raises(UserError, match=f"nobody answers at 127.0.0.1:{free_port}") as caught:
        open_store(f"postgresql://ana:hunter22@127.0.0.1:{free_port}/mlflow", "x")
    assert "hunter22" not in str(caught.value)


def test_a_database_without_its_driver_is_refused(listening):
    with pytest.raises(UserError, match="nosuchdriver"):
        open_store(f"postgresql+nosuchdriver://127.0.0.1:{listening}/mlflow", "x")


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
