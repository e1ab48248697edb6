import json
import math
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from omegaconf import OmegaConf

from jointdec.errors import UserError
from jointdec.tracking import open_fit_tracker, open_tracker
from jointdec.tracking.mlflow_tracker import thinning


@pytest.fixture
def client(store_uri):
    return MlflowClient(store_uri)


@pytest.fixture
def open_here(make_config, tmp_path, monkeypatch):
    """Opens a tracker on the session's store, in a folder outside of any repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return lambda overrides=(): open_tracker(make_config(), tmp_path / "out", overrides)


def text_of(client, run_id, path):
    return Path(client.download_artifacts(run_id, path)).read_text()


def history(client, run_id, key):
    return [(metric.step, metric.value) for metric in client.get_metric_history(run_id, key)]


def test_a_run_is_found_again_with_its_configuration(open_here, client, make_config):
    with open_here(["seed=7"]) as tracker:
        assert client.get_run(tracker.run_id).info.status == "RUNNING"
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name.startswith("split seed=7 two_tower gaussian ")
    assert run.data.params["model.alpha"] == "0.2"
    assert run.data.tags["jointdec.formulation"] == "split"
    assert run.data.tags["jointdec.outcome"] == "finished"
    recorded = OmegaConf.create(text_of(client, tracker.run_id, "config/config.yaml"))
    assert recorded.training.batch_size == make_config().training.batch_size
    assert OmegaConf.create(text_of(client, tracker.run_id, "config/overrides.yaml")) == ["seed=7"]
    assert f"numpy=={np.__version__}" in text_of(client, tracker.run_id, "environment/packages.txt")


def test_two_runs_of_one_configuration_have_different_names(open_here, client):
    names = set()
    for _ in range(2):
        with open_here() as tracker:
            names.add(client.get_run(tracker.run_id).info.run_name)
    assert len(names) == 2


def test_curves_are_complete_once_the_run_is_finished(open_here, client, make_epoch):
    with open_here() as tracker:
        for epoch in range(3):
            tracker.log_epoch(make_epoch(epoch=epoch, steps=160, first_step=160 * epoch))
        tracker.log_metrics({"test/loss": 4.0}, step=3)
        tracker.finish("finished")
    assert history(client, tracker.run_id, "step/edges") == [(step, step + 0.5) for step in range(480)]
    assert history(client, tracker.run_id, "val/exact") == [(0, 0.25), (1, 0.25), (2, 0.25)]
    assert history(client, tracker.run_id, "test/loss") == [(3, 4.0)]
    stamps = [metric.timestamp for metric in client.get_metric_history(tracker.run_id, "step/loss")]
    assert stamps == sorted(stamps)


def test_a_long_run_keeps_five_hundred_points_of_each_curve(open_here, client, make_epoch):
    with open_here() as tracker:  # of two epochs
        for epoch in range(2):
            tracker.log_epoch(make_epoch(epoch=epoch, steps=700, first_step=700 * epoch))
        tracker.finish("finished")
    kept = list(range(0, 1400, 3))
    assert [step for step, _ in history(client, tracker.run_id, "step/loss")] == kept
    norms = [step for step, _ in history(client, tracker.run_id, "step/grad_norm")]  # of every second step
    assert [step // 3 for step in norms] == [step // 3 for step in kept]


def test_a_parameter_too_long_for_mlflow_is_cut_and_says_so(make_config, client, tmp_path):
    config = make_config()
    config.model.tower = [128] * 2000
    with open_tracker(config, tmp_path, []) as tracker:
        pass
    text = client.get_run(tracker.run_id).data.params["model.tower"]
    assert len(text) == 6000
    assert text.endswith("(cut at MLflow's 6,000 characters)")
    recorded = OmegaConf.create(text_of(client, tracker.run_id, "config/config.yaml"))
    assert recorded.model.tower == config.model.tower


def test_nan_is_recorded_as_nan_and_infinities_only_counted(open_here, client, make_epoch):
    epoch = make_epoch(steps=4)
    epoch.steps["loss"][:] = [1.0, math.nan, math.inf, -math.inf]
    with open_here() as tracker:
        tracker.log_epoch(epoch)
        tracker.log_metrics({"test/loss": math.inf})
        tracker.finish("diverged")
    (first, second) = history(client, tracker.run_id, "step/loss")
    assert first == (0, 1.0)
    assert second[0] == 1
    assert math.isnan(second[1])
    run = client.get_run(tracker.run_id)
    assert run.data.tags["jointdec.nonfinite_values"] == "3"
    assert "test/loss" not in run.data.metrics


def test_the_data_set_is_recorded_with_the_digest_of_its_arrays(open_here, client, dataset):
    with open_here() as tracker:
        tracker.log_dataset(dataset)
    run = client.get_run(tracker.run_id)
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("molecules", dataset.digest)
    assert "sample.csv" in used.dataset.source
    assert run.data.tags["jointdec.data_digest"] == dataset.digest
    assert run.data.tags["jointdec.data_skipped"] == "1"
    assert run.data.tags["jointdec.labels"] == "distributions"
    assert text_of(client, tracker.run_id, "data/skipped.csv") == (
        'line,text,reason\n3,"C[Si],C","Si is none of C, N, O, F"\n'
    )


def test_a_data_set_without_skipped_records_leaves_no_table(open_here, client, dataset):
    with open_here() as tracker:
        tracker.log_dataset(replace(dataset, skipped=()))
    assert [file.path for file in client.list_artifacts(tracker.run_id, "data")] == []


def test_devices_tags_description_and_files_are_recorded(open_here, client, tmp_path):
    (tmp_path / "figure.txt").write_text("a figure")
    with open_here() as tracker:
        tracker.log_devices(["NVIDIA H100", "NVIDIA H100"])
        tracker.set_tags({"jointdec.divergence.step": 12})
        tracker.describe("# Result\n" + "x" * 9000)
        tracker.log_artifact(tmp_path / "figure.txt", "figures")
    tags = client.get_run(tracker.run_id).data.tags
    assert tags["jointdec.devices"] == "NVIDIA H100, NVIDIA H100"
    assert tags["jointdec.divergence.step"] == "12"
    assert tags["mlflow.note.content"].startswith("# Result\nxxx")
    assert text_of(client, tracker.run_id, "figures/figure.txt") == "a figure"
    assert '"NVIDIA H100"' in text_of(client, tracker.run_id, "environment/device.json")


def test_the_commit_and_the_changes_of_the_current_repository_are_recorded(make_config, client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    Path("code.py").write_text("alpha = 0.2\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    Path("code.py").write_text("alpha = 0.3\n")
    with open_tracker(make_config(), tmp_path, []) as tracker:
        pass
    assert client.get_run(tracker.run_id).data.tags["mlflow.source.git.commit"] == commit
    assert "+alpha = 0.3" in text_of(client, tracker.run_id, "environment/git.diff")


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("finished", "FINISHED"),
        ("specimen_failed", "FINISHED"),
        ("diverged", "FAILED"),
        ("pruned", "KILLED"),
        ("interrupted", "KILLED"),
    ],
)
def test_each_outcome_has_its_mlflow_status(open_here, client, outcome, status):
    with open_here() as tracker:
        tracker.finish(outcome)
    run = client.get_run(tracker.run_id)
    assert (run.info.status, run.data.tags["jointdec.outcome"]) == (status, outcome)


def raise_inside(tracker, error, after=lambda: None):
    with tracker:
        after()
        raise error


def test_an_exception_makes_the_run_failed_and_leaves_its_traceback_without_passwords(open_here, client):
    tracker = open_here()
    with pytest.raises(ValueError, match="too large"):
        raise_inside(tracker, ValueError("too large for http://ana:hunter22@host"))
    run = client.get_run(tracker.run_id)
    assert (run.info.status, run.data.tags["jointdec.outcome"]) == ("FAILED", "failed")
    trace = text_of(client, tracker.run_id, "traceback.txt")
    assert "raise_inside" in trace
    assert "ValueError: too large for http://***@host" in trace


def test_an_interrupt_makes_the_run_killed_and_keeps_its_curves(open_here, client, make_epoch):
    tracker = open_here()
    with pytest.raises(KeyboardInterrupt):
        raise_inside(tracker, KeyboardInterrupt(), after=lambda: tracker.log_epoch(make_epoch(steps=200)))
    run = client.get_run(tracker.run_id)
    assert (run.info.status, run.data.tags["jointdec.outcome"]) == ("KILLED", "interrupted")
    assert len(history(client, tracker.run_id, "step/loss")) == 200


def test_leaving_after_finish_changes_nothing_whatever_passes_through(open_here, client):
    tracker = open_here()
    with pytest.raises(SystemExit):
        raise_inside(tracker, SystemExit(3), after=lambda: tracker.finish("diverged"))
    run = client.get_run(tracker.run_id)
    assert (run.info.status, run.data.tags["jointdec.outcome"]) == ("FAILED", "diverged")


def test_a_store_that_refuses_metrics_fails_the_run_instead_of_losing_them(open_here, client, make_epoch):
    epoch = make_epoch()
    unwritable = replace(epoch, train={"a//name that is no path": 1.0})

    def train():
        with tracker:
            tracker.log_epoch(unwritable)
            tracker.finish("finished")

    tracker = open_here()
    with pytest.raises(mlflow.exceptions.MlflowException, match="a//name"):
        train()
    run = client.get_run(tracker.run_id)
    assert (run.info.status, run.data.tags["jointdec.outcome"]) == ("FAILED", "failed")


def test_a_user_s_own_mlflow_calls_reach_the_run(open_here, client):
    with open_here() as tracker:
        mlflow.log_metric("mine", 1.0)
    assert client.get_run(tracker.run_id).data.metrics["mine"] == 1.0


def test_a_run_inside_another_one_of_this_process_becomes_its_child(open_here, client):
    with open_here() as parent, open_here() as child:
        pass
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert client.get_run(child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id


def test_a_run_is_a_new_one_though_mlflow_s_variable_names_another(open_here, client, monkeypatch):
    with open_here() as another:
        pass
    monkeypatch.setenv("MLFLOW_RUN_ID", another.run_id)
    with open_here() as tracker:
        assert os.environ["MLFLOW_RUN_ID"] == another.run_id
    assert tracker.run_id != another.run_id
    assert client.get_run(another.run_id).data.tags["jointdec.outcome"] == "finished"


@pytest.mark.parametrize("before", [None, "http://elsewhere:5000"])
def test_the_environment_is_afterwards_as_it_was(open_here, monkeypatch, before):
    tracker_of = open_here
    if before:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", before)
    with tracker_of():
        pass
    assert os.environ.get("MLFLOW_TRACKING_URI") == before
    assert mlflow.active_run() is None


def test_no_thread_is_left_behind(open_here):
    before = set(threading.enumerate())
    with open_here():
        pass
    names = {thread.name for thread in set(threading.enumerate()) - before}
    assert not names & {"jointdec-metrics", "SystemMetricsMonitor"}


def test_where_names_the_command_that_shows_the_run(open_here, store_uri):
    with open_here() as tracker:
        assert tracker.run_id in tracker.where
        assert f"mlflow ui --backend-store-uri {store_uri}" in tracker.where


@pytest.fixture
def open_fit(store_uri, tmp_path, monkeypatch, request):
    """Opens the tracker of a user's own training in the session's store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def open_it(tracking=store_uri, name=None, params=None, folder=None, total_steps=6):
        tags = {"team": "chemistry"}
        return open_fit_tracker(tracking, request.node.name, name, tags, params or {}, folder, total_steps)

    return open_it


def test_a_user_s_own_training_is_recorded_without_a_configuration(open_fit, client, make_epoch, tmp_path):
    params = {"model.name": "house", "loss.<lambda>": "mse", "optimizer.learning_rate": "0.1", "long": "x" * 7000}
    with open_fit(params=params, folder=tmp_path / "out") as tracker:
        tracker.log_devices([])
        tracker.log_arrays("arrays", "c0ffee" * 10, {"x": (100, 3), "y/price": (100,)})
        tracker.log_epoch(make_epoch())
        tracker.finish("finished")
    run = client.get_run(tracker.run_id)
    assert run.info.run_name.startswith("house ")
    assert run.data.params["optimizer.learning_rate"] == "0.1"
    assert run.data.params["loss._lambda_"] == "mse"
    assert len(run.data.params["long"]) == 6000
    assert json.loads(text_of(client, tracker.run_id, "config/params.json")) == params
    tags = {"team": "chemistry", "jointdec.folder": str(tmp_path / "out"), "jointdec.outcome": "finished"}
    assert tags.items() <= run.data.tags.items()
    assert run.data.tags["jointdec.data_digest"] == "c0ffee" * 10
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("arrays", ("c0ffee" * 10)[:36])
    assert json.loads(used.dataset.profile) == {"x": [100, 3], "y/price": [100]}
    assert [step for step, _ in history(client, tracker.run_id, "step/loss")] == [0, 1, 2]


@given(steps=st.integers(1, 10**7))
def test_a_long_run_keeps_2_000_points_of_a_curve_and_a_short_one_fewer_but_no_less_than_400(steps):
    points = -(-steps // thinning(steps))
    assert points <= 2000
    assert points >= min(steps, 250 if steps < 2000 else 400)
    if steps > 100_000:
        assert points > 1950


@pytest.mark.parametrize(("steps", "every"), [(1, 1), (500, 1), (501, 2), (1600, 4), (8000, 4), (8001, 5), (40_000, 20)])
def test_what_a_curve_is_thinned_to(steps, every):
    assert thinning(steps) == every


def test_a_user_s_own_training_may_have_a_name_and_is_thinned_by_its_own_length(open_fit, client, make_epoch):
    with open_fit(name="my first", total_steps=1500) as tracker:
        tracker.log_epoch(make_epoch(steps=9))
        tracker.finish("finished")
    assert client.get_run(tracker.run_id).info.run_name == "my first"
    assert [step for step, _ in history(client, tracker.run_id, "step/loss")] == [0, 3, 6]


def test_a_user_s_own_training_goes_where_mlflow_s_variable_says(open_fit, client, store_uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    with open_fit("mlflow") as tracker:
        pass
    assert client.get_run(tracker.run_id).info.status == "FINISHED"


def test_a_user_s_own_training_can_be_recorded_nowhere(open_fit):
    with open_fit("none") as tracker:
        tracker.log_arrays("arrays", "c0ffee", {})
        assert tracker.run_id is None


def test_a_place_that_is_none_is_refused_in_the_words_of_the_caller(open_fit):
    with pytest.raises(UserError, match="did you mean"):
        open_fit("mlfow")
    with pytest.raises(UserError, match=r"^tracking is 'htp://host'"):
        open_fit("htp://host")


@pytest.mark.slow
def test_a_first_and_a_second_run_write_nothing_on_the_terminal(tmp_path, run_script):
    for _ in range(2):
        done = subprocess.run([sys.executable, run_script], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert len(done.stdout.split()) == 1  # the run's id, which the script itself prints


@pytest.mark.slow
def test_eight_processes_at_once_share_a_fresh_database(tmp_path, run_script):
    processes = [
        subprocess.Popen([sys.executable, run_script], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    run_ids = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 8
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'script'")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.run_id for run in runs} == run_ids
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert len(client.get_metric_history(run.info.run_id, "step/loss")) == 250
