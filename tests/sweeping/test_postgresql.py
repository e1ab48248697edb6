"""Two commands on one study in a real PostgreSQL, as two machines would."""

import csv
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

TINY = ["loss=split", "model.tower=[8]", "training.epochs=3", "training.batch_size=6", "data.path=molecules.smi"]
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BINARIES, reason="no PostgreSQL server here: apt-get install postgresql"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server on a loopback port with data of its own. PostgreSQL refuses to run as root."""
    folder = tmp_path_factory.mktemp("postgresql")
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if as_user:
        for place in (folder, *folder.parents):
            if place == Path("/tmp"):
                break
            place.chmod(0o755)
        shutil.chown(folder, "postgres")
    data, binaries = folder / "data", BINARIES[-1]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    subprocess.run(
        [*as_user, binaries / "initdb", "-D", data, "-A", "trust", "-U", "me"], check=True, capture_output=True
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    control = [*as_user, binaries / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-l", folder / "log", "-o", options, "start"], check=True, stdout=subprocess.DEVNULL)
    try:
        yield f"postgresql://me@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "fast", "stop"], check=True, capture_output=True)


def start(folder, server, *overrides):
    command = [sys.executable, "-m", "jointdec.sweep", *TINY, "+search=alpha", "sweep.objective=val/nodes"]
    command += [f"sweep.storage={server}", *overrides]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows_of(folder, name):
    with (folder / f"sweeps/{name}/trials.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_commands_that_start_together_share_one_study_and_one_record(server, folder):
    flags = ["sweep.name=shared", "sweep.n_trials=7", "sweep.workers=1", "sweep.pruner=none"]
    commands = [start(folder, server, *flags) for _ in range(4)]
    outputs = [process.communicate(timeout=400) for process in commands]
    assert [process.returncode for process in commands] == [0] * 4, outputs
    rows = rows_of(folder, "shared")
    assert [row["state"] for row in rows] == ["complete"] * 7
    assert len({row["model.alpha"] for row in rows}) == 7
    with study_in(server, "shared") as (study, _):
        sessions = {key: value for key, value in study.user_attrs.items() if "session" in key}
    assert sorted(value["entropy"] for value in sessions.values()) == [[0, 0], [0, 1], [0, 2], [0, 3]]

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = next(found.experiment_id for found in client.search_experiments() if found.name != "Default")
    runs = client.search_runs([experiment])
    parents = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
    assert [one.info.status for one in parents] == ["FINISHED"]
    assert {one.data.tags["mlflow.parentRunId"] for one in runs if one not in parents} == {parents[0].info.run_id}
    assert len(runs) == 8


def test_a_trial_whose_machine_gives_no_sign_of_life_is_run_again_by_another(server, folder):
    """The lost machine is a trial that was taken in another host's name."""
    from jointdec.sweeping.study import SEEN, WORKER, take
    from jointdec.tracking.environment import HOST, process_tags

    flags = ["sweep.name=lost", "tracking=none", "sweep.pruner=none"]
    process = start(folder, server, *flags, "sweep.n_trials=1")
    said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    with study_in(server, "lost") as (study, storage):
        study.enqueue_trial({"model.alpha": 0.25})
        trial, _ = take(study, storage)
        trial.suggest_float("model.alpha", 0, 0.5)
        trial.set_user_attr(WORKER, {**process_tags(), HOST: "elsewhere"})
        trial.set_user_attr(SEEN, time.time() - 1000)
    process = start(folder, server, *flags, "sweep.n_trials=2")
    said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    states = [(row["state"], row["model.alpha"]) for row in rows_of(folder, "lost")[1:]]
    assert states == [("repeated", "0.25"), ("complete", "0.25")]


@contextmanager
def study_in(server, name):
    from jointdec.sweeping.storage import open_storage
    from jointdec.sweeping.study import load_study

    storage = open_storage(server)
    try:
        yield load_study(storage, name), storage
    finally:
        storage.remove_session()
        storage.engine.dispose()
