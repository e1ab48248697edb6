"""Specimens as a user runs them: each fails as it declares, and a declaration that does not come true is an error."""

import json
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from jointdec.problems.molecules.specimens import constant_accuracy

DECLARED = "+loss.specimen={expects:[%s],pattern:'%s',did:a,happens:b,instead:c}"


def run(folder, *overrides):
    command = [sys.executable, "-m", "jointdec.run", "training.epochs=1", "hydra.run.dir=out", *overrides]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def summary(folder):
    return json.loads((folder / "out" / "summary.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "kind", "evidence"),
    [
        (["loss=joint_indexed"], "error", "input must be at least 2-dim, received shape: [9]"),
        (["loss=split_indexed"], "ignored_molecules", "the loss does not depend on 48 of them"),
        (["loss=answer"], "no_learning", "the nodes head is right on"),
        (["model=two_tower_dot", "training.batch_size=20"], "error", "received input with shape (20, 25920)"),
    ],
    ids=["joint_indexed", "split_indexed", "answer", "two_tower_dot"],
)
def test_a_specimen_fails_as_it_declares_and_says_what_to_write(tmp_path, overrides, kind, evidence):
    done = run(tmp_path, *overrides, "tracking.log_model=false")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for word in ("specimen_failed", "instead"):
        assert word in done.stdout
    result = summary(tmp_path)
    assert (result["outcome"], result["finding"]["kind"]) == ("specimen_failed", kind)
    assert evidence in result["finding"]["evidence"]
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        tags = dict(database.execute("select key, value from tags"))
        assert database.execute("select status from runs").fetchall() == [("FINISHED",)]
    assert (tags["jointdec.outcome"], tags["jointdec.specimen"]) == ("specimen_failed", kind)
    assert "Instead: " in tags["mlflow.note.content"]
    traces = list((tmp_path / "mlartifacts").rglob("specimen/traceback.txt"))
    assert len(traces) == (kind == "error")
    assert all(evidence in trace.read_text() for trace in traces)


@pytest.mark.slow
def test_a_specimen_that_does_not_fail_is_an_error_of_ours(tmp_path):
    done = run(tmp_path, "loss=split", DECLARED % ("nan,no_learning,ignored_molecules,error", "x"), "tracking=none")
    assert done.returncode == 1
    assert "an error of jointdec's, please report it" in " ".join(done.stdout.split())
    assert summary(tmp_path)["outcome"] == "failed"


@pytest.mark.slow
def test_a_specimen_that_fails_with_another_error_shows_it_and_exits_with_1(tmp_path):
    done = run(tmp_path, "loss=joint_indexed", "loss.specimen.pattern=out of memory", "tracking=none")
    assert done.returncode == 1
    assert "MatrixBandPart" in done.stderr


def test_the_constant_answer_is_each_place_s_most_frequent_class(make_dataset):
    dataset = make_dataset(50)
    train, val = dataset.train, dataset.val
    hits = [np.bincount(train.y["nodes"][:, place]).argmax() == val.y["nodes"][:, place] for place in range(9)]
    assert constant_accuracy(dataset, "nodes") == pytest.approx(np.mean(hits))
    pairs = [(i, j) for i in range(9) for j in range(i + 1, 9)]
    hits = [np.bincount(train.y["edges"][:, i, j]).argmax() == val.y["edges"][:, i, j] for i, j in pairs]
    assert constant_accuracy(dataset, "edges") == pytest.approx(np.mean(hits))
