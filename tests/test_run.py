"""Whole runs. Truths: the files and the database that a run leaves, and the exit code of a real process."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from jointdec.config import conf_folder, parse

TINY = ["training.epochs=2", "training.batch_size=6", "data.path=molecules.smi"]


def train(folder, *overrides):
    from jointdec.run import train as run

    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = parse(compose("config", overrides=list(overrides)))
    outcome = run(config, folder, overrides)
    return outcome, json.loads((folder / "summary.json").read_text())


def command(folder, *overrides):
    return subprocess.Popen(
        [sys.executable, "-m", "jointdec.run", *overrides],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(["+experiment=joint_loss"], marks=pytest.mark.slow),
        pytest.param(
            ["+experiment=split_loss", "model=scat", "data.scattering=spectral", "data.normalization=spherise"],
            marks=pytest.mark.slow,
        ),
        ["loss=joint", "training.jit=false", "training.precision=float64"],
        pytest.param(
            ["+experiment=tf_native", "model=shared_trunk", "training.precision=bfloat16"], marks=pytest.mark.slow
        ),
        pytest.param(["loss=split", "training=fit", "training.precision=float16"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_every_shipped_option_trains_two_tiny_epochs(folder, overrides):
    outcome, summary = train(folder, *overrides, *TINY, "tracking=none", "model.tower=[8]")
    assert outcome == "finished"
    assert (summary["run_id"], summary["outcome"], summary["epochs"], summary["steps"]) == (None, "finished", 2, 4)
    assert set(summary["final"]) >= {"test/loss", "test/exact", "generate/validity", "generate/connected"}
    for figure in ("curves", "decoded", "generated"):
        assert (folder / f"{figure}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_gaussian_labels_train_without_molecule_metrics_and_are_named_unbounded(folder, capsys):
    outcome, summary = train(
        folder, "data=gaussian", "data.n_train=40", "training.epochs=1", "tracking=none", "model.tower=[8]"
    )
    assert outcome == "finished"
    assert not [name for name in summary["final"] if name.startswith("generate/")]
    out = capsys.readouterr().out
    assert "360 of 360 nodes labels in the train split are no distributions" in out
    assert "no lower bound" in out


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_and_another_seed_another(folder):
    first, again, other = (
        train(folder, *TINY, f"seed={seed}", "tracking=none", "model.tower=[8]")[1] for seed in (1, 1, 2)
    )
    assert first["final"] == again["final"]
    assert {k: v for k, v in first["last"].items() if k != "time/ms_per_step"} == {
        k: v for k, v in again["last"].items() if k != "time/ms_per_step"
    }
    assert first["final"]["test/loss"] != other["final"]["test/loss"]


def test_a_run_leaves_its_evidence_in_mlflow(folder):
    outcome, summary = train(folder, "loss=split", *TINY, "model.tower=[8]")
    assert outcome == "finished"
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    run = client.get_run(summary["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["jointdec.outcome"] == "finished"
    assert run.data.tags["jointdec.formulation"] == "split"
    assert run.data.params["loss.weights.edges"] == "2.0"
    steps = [m.step for m in client.get_metric_history(summary["run_id"], "step/loss")]
    assert sorted(steps) == [0, 1, 2, 3]
    assert [m.step for m in client.get_metric_history(summary["run_id"], "step/grad_norm")] == [0]  # every 20th
    assert [m.step for m in client.get_metric_history(summary["run_id"], "val/exact")] == [0, 1]
    assert run.data.metrics["test/loss"] == pytest.approx(summary["final"]["test/loss"])
    assert "generate/validity" in run.data.metrics
    assert "**split** on **molecules**" in run.data.tags["mlflow.note.content"]
    artifacts = {item.path for item in client.list_artifacts(summary["run_id"], "figures")}
    assert artifacts == {"figures/curves.png", "figures/decoded.png", "figures/generated.png"}
    assert "summary.json" in {item.path for item in client.list_artifacts(summary["run_id"])}


@pytest.mark.slow
def test_skipped_molecules_are_counted_and_shown(folder, capsys):
    (folder / "molecules.smi").write_text(
        "\n".join([(folder / "molecules.smi").read_text(), "CCCCCCCCCC", "C[Si]", "not one"])
    )
    train(folder, *TINY, "tracking=none", "model.tower=[8]", "training.epochs=1")
    out = capsys.readouterr().out
    assert "skipped 3 records" in out
    assert "line 15, 'CCCCCCCCCC': 10 heavy atoms" in out


@pytest.mark.slow
def test_divergence_stops_the_run_names_step_tensor_and_cause_and_exits_with_3(folder):
    process = command(folder, *TINY, "training.epochs=50", "optimizer.learning_rate=1e30", "hydra.run.dir=out")
    out, error = process.communicate()
    assert process.returncode == 3, error
    assert "outcome      diverged" in out
    assert "cause        learning_rate" in out
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert summary["outcome"] == "diverged"
    assert summary["epochs"] < 50
    assert summary["divergence"]["step"] == summary["steps"] - 1
    with sqlite3.connect(folder / "mlflow.db") as database:
        tags = dict(database.execute("select key, value from tags"))
        not_finite = database.execute("select step from metrics where key = 'step/loss' and is_nan").fetchall()
        status = database.execute("select status from runs").fetchone()
        huge = database.execute("select count(*) from metrics where abs(value) > 1e300 and not is_nan").fetchone()
    assert status == ("FAILED",)
    assert tags["jointdec.outcome"] == "diverged"
    for name in ("step", "tensor", "cause"):
        assert tags[f"jointdec.divergence.{name}"] == str(summary["divergence"][name])
    assert not_finite in ([], [(summary["divergence"]["step"],)])
    assert huge == (0,)
    (artifacts,) = folder.glob("mlartifacts/*/artifacts")
    assert {file.name for file in (artifacts / "divergence").iterdir()} == {"report.md", "state.npz", "steps.png"}
    assert (artifacts / "curves.npz").is_file()
    assert "## Why: learning_rate" in (artifacts / "divergence" / "report.md").read_text()


@pytest.mark.slow
def test_a_specimen_that_declares_nan_ends_as_declared_and_is_explained_like_any_divergence(folder):
    outcome, summary = train(folder, "loss=answer", "model.alpha=0", *TINY)
    assert outcome == "specimen_failed"
    assert summary["finding"]["kind"] == "nan"
    assert summary["divergence"]["cause"] == "unnormalised_probabilities"
    assert (folder / "divergence" / "state.npz").is_file()


@pytest.mark.slow
def test_skipped_batches_are_listed_counted_and_at_last_too_many(folder, capsys):
    flags = ["training.on_divergence=skip", "training.max_skipped=2", "training.epochs=4"]
    _, summary = train(folder, "loss=answer", "model.alpha=0", *TINY, *flags)
    assert summary["skipped"] == [0, 1]
    assert summary["divergence"]["step"] == 2
    assert "skipped      the batches of steps 0, 1" in capsys.readouterr().out
    with sqlite3.connect(folder / "mlflow.db") as database:
        assert dict(database.execute("select key, value from tags"))["jointdec.divergence.skipped"] == "2"


@pytest.mark.slow
@pytest.mark.parametrize("policy", [pytest.param("warn", marks=pytest.mark.slow), "stop"])
def test_a_loss_that_runs_away_while_finite_is_told_and_on_demand_stops_the_run(folder, capsys, policy):
    flags = ["data=gaussian", "data.n_train=40", "training.batch_size=5", "optimizer.learning_rate=0.03"]
    flags += ["training.epochs=9", f"training.on_runaway={policy}", "loss=split", "training.jit=false"]
    outcome, summary = train(folder, "model.tower=[8]", *flags)
    out = capsys.readouterr().out
    assert outcome == ("diverged" if policy == "stop" else "finished")
    assert (summary["epochs"] < 9) == (policy == "stop")
    assert summary["runaway"]["kind"] == "below_zero"
    assert "below zero in step" in out
    assert "jointdec.replay" not in out
    if policy == "stop":
        assert summary["divergence"]["cause"] == "labels_not_a_distribution"
        assert "ran away" in (folder / "divergence" / "report.md").read_text()
        assert not (folder / "divergence" / "state.npz").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_cleanly_and_keeps_what_was_learnt(folder, number):
    process = command(folder, *TINY, "training.epochs=1000000", "hydra.run.dir=out", "model.tower=[8]")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not _epochs_recorded(folder):
        time.sleep(0.2)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert summary["outcome"] == "interrupted"
    assert summary["epochs"] > 0
    with sqlite3.connect(folder / "mlflow.db") as database:
        assert database.execute("select status from runs").fetchall() == [("KILLED",)]
        assert database.execute("select count(*) from logged_models").fetchone() == (1,)
        recorded = database.execute("select count(*) from metrics where key = 'val/loss'").fetchone()
    assert recorded == (summary["epochs"],)


@pytest.mark.slow
def test_a_grid_runs_every_point_in_its_own_folder_and_the_formulations_agree(folder):
    process = command(folder, "-m", "loss=joint,split,tf_native", "seed=1,2", *TINY, "hydra.sweep.dir=grid")
    _, error = process.communicate()
    assert process.returncode == 0, error
    summaries = [json.loads((folder / "grid" / str(job) / "summary.json").read_text()) for job in range(6)]
    assert len({summary["run_id"] for summary in summaries}) == 6
    for first, second in ((0, 2), (0, 4), (1, 3), (1, 5)):
        ours, theirs = summaries[first]["final"]["test/loss"], summaries[second]["final"]["test/loss"]
        assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.slow
def test_an_installed_wheel_brings_its_configuration_and_its_sample(tmp_path):
    source = Path(__file__).parents[1]
    if not (source / "pyproject.toml").is_file():
        pytest.skip("not a checkout")
    pip = [sys.executable, "-m", "pip", "-q"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path, source], check=True
    )
    wheel = next(tmp_path.glob("*.whl"))
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", site, wheel], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "jointdec.run", "+experiment=split_loss", "training.epochs=1", "tracking=none"],
        cwd=empty,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "4,000 + 500 + 500" in done.stdout


def _epochs_recorded(folder):
    try:
        with sqlite3.connect(f"file:{folder}/mlflow.db?mode=ro", uri=True) as database:
            return database.execute("select count(*) from metrics where key = 'val/loss'").fetchone()[0]
    except sqlite3.OperationalError:  # not there yet
        return 0
