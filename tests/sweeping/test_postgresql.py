"""Two commands on one study in a real PostgreSQL, as two machines would."""

import csv
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

TINY = ["loss=split", "model.tower=[8]", "training.epochs=3", "training.batch_size=6", "data.path=molecules.smi"]
SMILES = ["C", "CC", "CCO", "C=O", "N#C", "c1ccccc1", "CN", "CF", "OCCO", "C1CC1", "CC(C)C", "C#CCN", "NC=O", "CCCCO"]
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


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "molecules.smi").write_text("\n".join(SMILES))
    return tmp_path


def start(folder, server, *overrides):
    command = [sys.executable, "-m", "jointdec.sweep", *TINY, "+search=alpha", "sweep.objective=val/nodes"]
    command += [f"sweep.storage={server}", *overrides]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows_of(folder, name):
    with (folder / f"sweeps/{name}/trials.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_commands_that_start_together_share_one_study_and_one_record(server, folder):
    flags = ["sweep.name=shared", "sweep.n_trials=7", "sweep.workers=2", "sweep.pruner=none"]
    both = [start(folder, server, *flags) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    rows = rows_of(folder, "shared")
    assert [row["state"] for row in rows] == ["complete"] * 7
    assert len({row["model.alpha"] for row in rows}) == 7

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = next(found.experiment_id for found in client.search_experiments() if found.name != "Default")
    runs = client.search_runs([experiment])
    parents = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
    assert [one.info.status for one in parents] == ["FINISHED"]
    assert {one.data.tags["mlflow.parentRunId"] for one in runs if one not in parents} == {parents[0].info.run_id}
    assert len(runs) == 8


def test_a_trial_whose_machine_gives_no_sign_of_life_is_run_again(server, folder, monkeypatch):
    """The other machine is a trial that was taken in another host's name, with one heartbeat and then none."""
    from jointdec.sweeping import storage as storages
    from jointdec.sweeping.plan import make_plan
    from jointdec.sweeping.study import add_places, define, give_back_dead, load_study, open_study, take
    from jointdec.tracking.identity import HOST

    monkeypatch.chdir(folder)
    monkeypatch.setattr(storages, "GRACE", 1)
    plan = make_plan([*TINY, "+search=alpha", f"sweep.storage={server}", "sweep.name=lost", "sweep.n_trials=1"])
    storage = storages.open_storage(plan.storage)
    open_study(storage, "lost", define(plan.settings, plan.space, plan.base, []), plan.settings.direction)
    study = load_study(storage, "lost")
    add_places(study, plan.settings, plan.space)
    trial, trial_id = take(study, storage)
    trial.set_user_attr(HOST, "elsewhere")
    alpha = plan.space[0].suggest(trial)
    storage.record_heartbeat(trial_id)
    give_back_dead(study, storage, "its worker is gone", died=False)
    assert [one.state.name for one in study.get_trials()] == ["RUNNING"]
    time.sleep(3)
    give_back_dead(study, storage, "its worker is gone", died=False)
    assert [one.state.name for one in study.get_trials()] == ["FAIL", "WAITING"]
    again, _ = take(load_study(storage, "lost"), storage)
    assert plan.space[0].suggest(again) == alpha
