"""The command: a user's mistakes in this process, whole studies as real processes."""

import csv
import json
import shlex
import signal
import subprocess
import sys
import time

import psutil
import pytest

from jointdec.sweep import main

TINY = ["loss=split", "model.tower=[8]", "training.epochs=3", "training.batch_size=6", "data.path=molecules.smi"]
LONG = ["training.epochs=100000", "sweep.pruner=none"]


def start(folder, *overrides):
    command = [sys.executable, "-m", "jointdec.sweep", *TINY, "sweep.name=s", *overrides]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder, *overrides):
    process = start(folder, *overrides)
    out, error = process.communicate(timeout=240)
    return process.returncode, out, error


def table(folder):
    with (folder / "sweeps/s/trials.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)
    return found


def running(folder):
    """Numbers of the trials that have written a point to the journal and train: their folders, without a summary."""
    places = (folder / "sweeps/s/trials").glob("*")
    return sorted(place.name for place in places if not (place / "summary.json").exists())


def workers(process):
    return [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["+search=alpha", "sweep.workers=0"], "sweep.workers is 0, but must be at least 1"),
        (["model.alfa=interval(0,1)"], "did you mean 'model.alpha'"),
        (["model.alpha=interval(1,0)"], "the interval is empty"),
        (["+search=optimizer", "sweep.objective=val/rmse"], "which no trial records"),
        (["+search=loss_weights", "sweep.objective=val/loss"], "would find the smallest weights"),
        (["+search=alpha", "sweep.storage=postgresql://u:secret@127.0.0.1:1/d"], "nobody answers at 127.0.0.1:1"),
        (["+search=alpha", "sweep.name=../up"], "sweep.name is '../up'"),
        (["+search=alpha", "sweep.name=.."], "sweep.name is '..'"),
        (["tracking.uri=a,b"], "where trials are recorded cannot be searched"),
        (["+search=alpha", "data.path=none.smi"], "none.smi"),
        (["+search=alpha", "tracking.uri=http://127.0.0.1:1"], "no MLflow server answers"),
        (["loss=joint_indexed", "model.alpha=0.1,0.2"], "is a specimen that only raises an error"),
        (["nonsense"], "overrides are GROUP=OPTION or KEY=VALUE"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing_behind(folder, capsys, overrides, sentence):
    assert main([*TINY, *overrides]) == 2
    error = capsys.readouterr().err
    assert error.startswith("jointdec: ")
    assert sentence in error
    assert error.count("\n") == 1
    assert "secret" not in error
    assert [path.name for path in folder.iterdir()] == ["molecules.smi"]


def test_data_without_molecules_have_none_to_generate(folder, capsys):
    assert main(["data=gaussian", "data.n_train=9", "+search=alpha", "sweep.objective=generate/validity"]) == 2
    assert "data=gaussian has no molecules to generate" in capsys.readouterr().err


@pytest.mark.slow
def test_a_study_leaves_its_evidence_and_goes_on_where_it_stopped(folder):
    search = ["+search=loss_weights_and_alpha", "sweep.objective=val/nodes"]
    code, out, error = run(folder, *search, "sweep.n_trials=3")
    assert code == 0, error
    assert "trial 2" in out
    first = table(folder)
    code, out, error = run(folder, *search, "sweep.n_trials=5", "sweep.workers=2")
    assert code == 0, error
    assert "5 trials, 3 of them ended before" in out
    rows = table(folder)
    assert rows[:3] == first
    assert len({row["model.alpha"] for row in rows}) == 5

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    summary = json.loads((folder / "sweeps/s/summary.json").read_text())
    runs = {found.info.run_id: found for found in client.search_runs([_experiment(client)])}
    parent = runs.pop(summary["run_id"])
    assert parent.info.status == "FINISHED"
    assert parent.data.params["search model.alpha"] == "interval(0.0,0.5)"
    assert {found.path for found in client.list_artifacts(parent.info.run_id, "figures")} >= {
        f"figures/{name}.png" for name in ("history", "importances", "slice", "parallel", "contour")
    }
    assert set(runs) == {row["run_id"] for row in rows}
    status = {"complete": ("FINISHED", "finished"), "pruned": ("KILLED", "pruned")}
    for row in rows:
        child = runs[row["run_id"]]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert (child.info.status, child.data.tags["jointdec.outcome"]) == status[row["state"]]
        assert float(child.data.params["model.alpha"]) == float(row["model.alpha"])
        assert len(client.get_metric_history(row["run_id"], "val/nodes")) == int(row["epochs"])
        assert client.get_metric_history(row["run_id"], "step/loss")
        if row["state"] == "complete":
            assert child.data.metrics["val/nodes"] == pytest.approx(float(row["val/nodes"]))


def _experiment(client):
    return next(found.experiment_id for found in client.search_experiments() if found.name != "Default")


@pytest.mark.slow
def test_the_best_trial_runs_again_by_its_command_and_by_its_file(folder):
    code, _, error = run(folder, "+search=alpha", "sweep.objective=val/nodes", "sweep.n_trials=2", "tracking=none")
    assert code == 0, error
    best = json.loads((folder / "sweeps/s/summary.json").read_text())["best"][0]
    by_command = [sys.executable, *shlex.split(best["command"])[1:]]
    by_file = [sys.executable, "-m", "jointdec.run", "--config-dir", "sweeps/s", "+experiment=best", "tracking=none"]
    for number, command in enumerate((by_command, by_file)):
        place = folder / f"run{number}"
        subprocess.run([*command, f"hydra.run.dir={place}"], cwd=folder, check=True, capture_output=True)
        last = json.loads((place / "summary.json").read_text())["last"]
        assert last["val/nodes"] == best["values"]["val/nodes"]


@pytest.mark.slow
def test_a_killed_worker_costs_its_trial_one_retry_and_nothing_else(folder):
    process = start(folder, "+search=alpha", "sweep.objective=val/nodes", "sweep.n_trials=3", "sweep.pruner=none",
                    "training.epochs=300", "tracking=none")  # fmt: skip
    wait_for(lambda: running(folder) and workers(process))
    workers(process)[0].kill()
    out, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    assert "by signal SIGKILL; trial 0 is run again" in out
    rows = table(folder)
    failed = [row for row in rows if row["state"] == "repeated"]
    assert [row["cause"] for row in failed] == ["its worker died by signal SIGKILL"]
    assert [row["state"] for row in rows if row not in failed] == ["complete"] * 3
    assert sum(row["model.alpha"] == failed[0]["model.alpha"] for row in rows) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_study_cleanly_and_the_same_command_finishes_it(folder, number):
    search = ["model.alpha=0.1,0.3", "sweep.sampler=grid", "sweep.objective=val/nodes"]
    process = start(folder, *search, "sweep.workers=2", *LONG)
    wait_for(lambda: len(running(folder)) == 2)
    children = workers(process)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert not any(child.is_running() for child in children)
    assert [row["state"] for row in table(folder)] == ["repeated", "repeated", "waiting", "waiting"]
    assert {row["cause"] for row in table(folder)[:2]} == {"interrupted"}

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    found = client.search_runs([_experiment(client)])
    assert {(one.info.status, one.data.tags["jointdec.outcome"]) for one in found} == {("KILLED", "interrupted")}


@pytest.mark.slow
def test_workers_of_a_killed_command_stop_and_the_next_one_runs_their_trials_again(folder):
    search = ["model.alpha=0.1,0.3", "sweep.sampler=grid", "sweep.objective=val/nodes", "training.epochs=2000"]
    process = start(folder, *search, "tracking=none")
    wait_for(lambda: running(folder))
    (worker,) = workers(process)
    process.kill()
    process.communicate()
    wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    code, _, error = run(folder, *search, "tracking=none", "sweep.workers=2")
    assert code == 0, error
    complete = [row for row in table(folder) if row["state"] == "complete"]
    assert sorted(float(row["model.alpha"]) for row in complete) == [0.1, 0.3]


@pytest.mark.slow
def test_when_every_trial_diverges_all_fail_with_their_cause_and_the_exit_code_says_so(folder):
    search = ["optimizer.learning_rate=1e30,1e31", "sweep.sampler=grid", "sweep.objective=val/nodes"]
    code, out, error = run(folder, *search, "tracking=none", "training.epochs=9")
    assert code == 3, error
    assert "learning_rate: in step" in out
    assert {row["state"] for row in table(folder)} == {"fail"}
    assert all(row["cause"].startswith("learning_rate: in step") for row in table(folder))


@pytest.mark.slow
def test_several_objectives_give_a_front_and_its_figure(folder):
    objectives = "sweep.objective=[val/node_accuracy,val/edges]"
    code, _, error = run(folder, "+search=loss_weights", objectives, "sweep.n_trials=4", "tracking=none")
    assert code == 0, error
    rows, front = table(folder), json.loads((folder / "sweeps/s/summary.json").read_text())["best"]
    points = [(-float(row["val/node_accuracy"]), float(row["val/edges"])) for row in rows]
    ours = {(-one["values"]["val/node_accuracy"], one["values"]["val/edges"]) for one in front}
    dominated = {p for p in points if any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}
    assert ours == set(points) - dominated
    assert (folder / "sweeps/s/figures/pareto.png").read_bytes().startswith(b"\x89PNG")


def nothing_runs(folder):
    """No trial, and no run in MLflow."""
    from mlflow import MlflowClient

    assert "running" not in {row["state"] for row in table(folder)}
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return "RUNNING" not in {one.info.status for one in client.search_runs([_experiment(client)])}


@pytest.mark.slow
def test_a_second_signal_stops_a_study_at_once_and_leaves_nothing_running(folder):
    search = ["model.alpha=0.1,0.3", "sweep.sampler=grid", "sweep.objective=val/nodes"]
    process = start(folder, *search, *LONG)
    wait_for(lambda: running(folder))
    children = workers(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert not any(child.is_running() for child in children)
    code, _, error = run(folder, *search, "training.epochs=100000", "sweep.n_trials=1", "sweep.objective=val/edges")
    assert code == 2, error  # another objective: only to see that the study is whole
    assert "sweep.objective was val/nodes and is val/edges" in error


@pytest.mark.slow
def test_a_worker_that_somebody_else_stops_gives_its_trial_back(folder):
    search = ["model.alpha=choice(0.2)", "sweep.sampler=grid", "sweep.objective=val/nodes", "training.epochs=300"]
    process = start(folder, *search)
    wait_for(lambda: running(folder) and workers(process))
    for _ in range(2):
        workers(process)[0].terminate()
    out, error = process.communicate(timeout=240)
    assert process.returncode == 0, out + error
    assert [row["state"] for row in table(folder)] == ["repeated", "complete"]
    assert nothing_runs(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "code", "told"),
    [("nonsense", 1, "given up     3 workers died one after another"), ("jax", 2, "unset KERAS_BACKEND")],
)
def test_workers_that_cannot_start_end_the_study_with_a_reason(folder, monkeypatch, backend, code, told):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    got, out, error = run(folder, "+search=alpha", "sweep.n_trials=9")
    assert got == code, error
    assert told in out + error
    assert {row["state"] for row in table(folder)} == {"waiting"}
    assert nothing_runs(folder)
