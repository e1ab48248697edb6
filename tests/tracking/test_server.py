"""The same records through a real ``mlflow server`` on this machine."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient

from jointdec.tracking import open_tracker


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    stores = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        f"{folder}/files",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, *stores], cwd=folder, stdout=log, stderr=log)
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait(uri, process, folder / "log")
        yield uri
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait(uri, process, log):
    for _ in range(240):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=1).close()
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.5)
        else:
            return
    raise AssertionError(log.read_text())


@pytest.mark.slow
def test_a_run_on_a_server_keeps_curves_files_and_outcome(server, make_config, make_epoch, dataset, capfd):
    with open_tracker(make_config(uri=server), Path("out"), ["seed=7"]) as tracker:
        tracker.log_devices(["NVIDIA H100"])
        tracker.log_dataset(dataset)
        tracker.log_epoch(make_epoch(steps=240))
        tracker.finish("diverged")
    assert capfd.readouterr() == ("", "")
    assert tracker.where.startswith(f"{server}/#/experiments/")
    client = MlflowClient(server)
    run = client.get_run(tracker.run_id)
    assert (run.info.status, run.data.tags["jointdec.outcome"]) == ("FAILED", "diverged")
    assert run.inputs.dataset_inputs[0].dataset.digest == dataset.digest
    values = [(metric.step, metric.value) for metric in client.get_metric_history(tracker.run_id, "step/nodes")]
    assert values == [(step, step + 0.25) for step in range(240)]
    paths = {
        file.path
        for folder in ("config", "environment", "data")
        for file in client.list_artifacts(tracker.run_id, folder)
    }
    assert {
        "config/config.yaml",
        "config/overrides.yaml",
        "environment/device.json",
        "data/skipped.csv",
    } <= paths


@pytest.mark.slow
def test_the_environment_variable_leads_to_the_server(server, run_script, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    done = subprocess.run([sys.executable, run_script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert MlflowClient(server).get_run(done.stdout.strip()).info.status == "FINISHED"
    assert not (tmp_path / "mlflow.db").exists()
