"""Truths: the table itself, in pandas and numpy; the README's file is the same problem."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jointdec.problems.penguins import TABLE

OWN = Path(__file__).parents[2] / "docs/penguins.py"
WELL = ["training.epochs=60", "training.batch_size=32", "optimizer.learning_rate=0.01"]


@pytest.fixture(scope="module")
def trained(train):
    return train("problem=penguins", *WELL)


def test_eleven_sexes_and_two_masses_are_missing_as_in_the_table(trained):
    table = pd.read_csv(TABLE)
    assert len(table) == 344 == sum(len(split) for split in trained.dataset.splits.values())
    assert trained.dataset.missing == {"sex": 11, "mass": 2}
    assert {"sex": table.sex.isna().sum(), "mass": table.body_mass_g.isna().sum()} == trained.dataset.missing


def test_every_number_that_enters_the_training_is_finite_and_of_order_one(trained):
    for split in trained.dataset.splits.values():
        assert split.x.shape[1:] == (7,)
        assert np.abs(split.x).max() < 5
        assert np.isfinite(split.y["mass"]).all()


def test_the_losses_are_numpys_means_over_the_labels_that_are_there(trained):
    test = trained.dataset.val  # of whose sexes two are missing
    measured = trained.loop.evaluate(test)
    logits = trained.formulation.logits(test.x)
    there = {head: test.weights[head].reshape(len(test)) > 0 for head in ("sex", "mass")}
    assert (~there["sex"]).sum() == 2
    off = (logits["mass_logits"] - test.y["mass"])[there["mass"], 0]
    assert measured["mass"] == pytest.approx((off**2).mean(), rel=1e-5)
    assert measured["mass_mae"] == pytest.approx(np.abs(off).mean(), rel=1e-5)
    sexes = logits["sex_logits"].argmax(1) == test.y["sex"]
    species = logits["species_logits"].argmax(1) == test.y["species"]
    assert measured["sex_accuracy"] == pytest.approx(sexes[there["sex"]].mean())
    assert measured["species_accuracy"] == pytest.approx(species.mean())
    assert measured["exact"] == pytest.approx((sexes & species)[there["sex"]].mean())


def test_after_training_it_is_better_than_the_best_constants(trained):
    train, measured = trained.dataset.train, trained.test()
    there = trained.dataset.test.weights["mass"].reshape(-1) > 0
    mass = trained.dataset.test.y["mass"].reshape(-1)[there]
    assert measured["mass_mae"] < 0.7 * np.abs(mass - np.median(train.y["mass"])).mean()
    assert measured["species_accuracy"] > 0.9
    assert measured["sex_accuracy"] > 0.65


def test_the_file_that_a_user_would_write_has_the_same_labels_and_is_short(configured, trained):
    from jointdec.dataset import silent
    from jointdec.problems import find

    config = configured(f"problem={OWN}")
    dataset = find(config.problem).load(config.data, silent)
    assert dataset.missing == {"sex": 11, "mass": 2}
    for name, split in dataset.splits.items():
        for head, labels in split.y.items():
            ours = trained.dataset.splits[name]
            there = ours.weights[head].reshape(len(split)) > 0 if head in ours.weights else slice(None)
            np.testing.assert_allclose(labels.reshape(len(split))[there], ours.y[head].reshape(len(split))[there])
    code = [line for line in OWN.read_text().splitlines() if re.match(r"\s*\w|\s*[}\])]", line)]
    assert len(code) < 42


@pytest.mark.slow
def test_the_readmes_command_trains_the_file_that_a_user_would_write(tmp_path):
    typed = [f"problem={OWN}", "model.width=64", "loss.weights.mass=3", "training.epochs=2", "tracking=none"]
    result = subprocess.run(
        [sys.executable, "-m", "jointdec.run", *typed, "hydra.run.dir=out"], cwd=tmp_path, check=False
    )
    assert result.returncode == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert set(summary["final"]) >= {"test/species_accuracy", "test/sex_accuracy", "test/mass_mae", "test/exact"}


@pytest.mark.slow
def test_a_key_that_is_none_is_one_sentence_and_exit_code_2(tmp_path):
    typed = ["+experiment=penguins", "model.wdth=64"]
    result = subprocess.run(
        [sys.executable, "-m", "jointdec.run", *typed], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stderr.startswith("jointdec: There is no key 'model.wdth'")
    assert len(result.stderr.splitlines()) == 1
