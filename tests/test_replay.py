"""Runs that are recorded and taken again. Truths: the record of the run, and a real process."""

import contextlib
import functools
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from jointdec.config import conf_folder, parse
from jointdec.replay import main

SMILES = ["C", "CC", "CCO", "C=O", "N#C", "c1ccccc1", "CN", "CF", "OCCO", "C1CC1", "CC(C)C", "C#CCN", "NC=O", "CCCCO"]
TINY = [
    "training.epochs=3",
    "training.batch_size=4",
    "data.path=molecules.smi",
    "model.tower=[8]",
    "training.jit=false",
]

pytestmark = pytest.mark.slow  # runs are recorded first


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """``record("loss=answer")``: train once, and the id of the run; all in ``record.folder``."""
    from jointdec.run import train

    folder = tmp_path_factory.mktemp("replayed")
    (folder / "molecules.smi").write_text("\n".join(SMILES))

    @functools.cache
    def run(*overrides):
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            config = parse(compose("config", overrides=[*TINY, "tracking.log_model=false", *overrides]))
        with contextlib.chdir(folder):
            train(config, folder, overrides)
            with sqlite3.connect("mlflow.db") as database:
                return database.execute("select run_uuid from runs order by start_time desc").fetchone()[0]

    run.folder = folder
    return run


@pytest.fixture(autouse=True)
def in_folder(record, monkeypatch):
    monkeypatch.chdir(record.folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def diverged(record, capsys):
    """A run of the answer, whose first step has sums of outputs that are 0."""
    run_id = record("loss=answer", "model.alpha=0")
    capsys.readouterr()
    return run_id


@pytest.fixture
def finished(record, capsys):
    run_id = record("loss=tf_native")
    capsys.readouterr()
    return run_id


def test_a_run_that_finished_is_taken_again_to_the_last_bit(finished, capsys):
    assert main([finished]) == 0
    assert "numbers of the curves, to the last bit" in capsys.readouterr().out


def test_a_record_whose_curves_were_changed_is_not_reproduced(record, capsys):
    run_id = record("loss=tf_native", "seed=1")
    (file,) = record.folder.glob(f"mlartifacts/**/{run_id}/**/curves.npz")
    with np.load(file) as curves:
        arrays = dict(curves)
    arrays["step/nodes"][2] *= 1 + 1e-6
    np.savez(file, **arrays)
    assert main([run_id]) == 4
    out = capsys.readouterr().out
    assert "different    step/nodes" in out
    assert "in place 2 (relative difference 1e-06" in out


def test_a_run_that_diverged_shows_the_same_tensor_again(diverged, capsys):
    assert main([diverged]) == 0
    out = capsys.readouterr().out
    assert "recorded     nodes_probabilities, unnormalised_probabilities: the same" in out
    assert "the loop     diverges in this step" in out


def test_a_remedy_is_tried_on_that_step_and_on_those_after_it(diverged, capsys):
    assert main([diverged, "loss=split", "--steps", "7"]) == 0
    assert "finite       step 0, and the 7 steps after it" in capsys.readouterr().out


def test_a_remedy_that_does_not_help_says_what_diverges_now(diverged, capsys):
    assert main([diverged, "optimizer.learning_rate=1e-5"]) == 3
    out = capsys.readouterr().out
    assert "diverges     0 steps after the recorded one" in out
    assert "unnormalised_probabilities" in out


@pytest.mark.parametrize("policy", ["skip", "continue"])
def test_the_step_of_a_run_that_went_on_is_taken_again_and_not_skipped(record, capsys, policy):
    run_id = record("loss=answer", "model.alpha=0", f"training.on_divergence={policy}", "training.max_skipped=1")
    capsys.readouterr()
    assert main([run_id]) == 0
    assert main([run_id, "optimizer.learning_rate=1e-5"]) == 3
    assert "diverges     0 steps after the recorded one" in capsys.readouterr().out
    assert main([run_id, "loss=split"]) == 0


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut"])
def test_a_damaged_state_is_one_sentence(record, capsys, content):
    run_id = record("loss=answer", "model.alpha=0", "seed=5")
    (file,) = record.folder.glob(f"mlartifacts/**/{run_id}/**/state.npz")
    file.write_bytes(content)
    capsys.readouterr()
    assert main([run_id]) == 2
    assert "state.npz of the run is no file of arrays" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "overrides"),
    [
        (["training.precision=float16", "model.alpha=50"], ["training.precision=float32"]),
        (["optimizer.epsilon=0"], ["optimizer.epsilon=1e-8"]),
        (["loss=tf_native", "model.alpha=1e25"], ["model.alpha=0.2", "loss=joint", "training.precision=float64"]),
        (["loss=answer", "model.alpha=0"], ["loss=tf1_graph"]),
        (["loss=answer", "model.alpha=0"], ["loss=split", "training.name=fit"]),
    ],
    ids=["float16", "epsilon", "alpha", "another loop", "fit"],
)
def test_every_kind_of_remedy_can_be_tried(record, flags, overrides):
    run_id = record(*flags)
    assert main([run_id]) == 0
    assert main([run_id, *overrides, "--steps", "5"]) == 0


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["training.batch_size=2"], "changes training"),
        (["model.tower=[4]"], "changes model"),
        (["seed=1"], "changes seed"),
        (["loss=spilt"], "did you mean 'split'"),
        (["tracking.uri=sqlite:////nowhere/at/all.db"], "there is no such file"),
    ],
)
def test_what_would_be_another_step_is_refused(diverged, capsys, overrides, sentence):
    assert main([diverged, *overrides]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.startswith("jointdec: ")
    assert captured.err.count("\n") == 1


def test_other_data_are_refused(finished, capsys, tmp_path, monkeypatch):
    (tmp_path / "molecules.smi").write_text("\n".join([*SMILES, "CCC"]))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    assert main([finished]) == 2
    assert "cannot be taken again on other data" in capsys.readouterr().err


def test_overrides_on_a_run_that_did_not_diverge_are_refused(finished, capsys):
    assert main([finished, "loss=split"]) == 2
    assert "has no step that diverged" in capsys.readouterr().err


def test_the_command_tells_its_mistakes_without_a_traceback(tmp_path):
    def run(*arguments):
        environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        command = [sys.executable, "-m", "jointdec.replay", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = run("0" * 32)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("jointdec: The tracking store sqlite:")
    assert run("0" * 32, "--steps=-1").returncode == 2
    assert "RUN_ID" in run("--help").stdout or "run_id" in run("--help").stdout
