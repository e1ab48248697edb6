"""Truths: shapes and shares counted in numpy."""

import pickle

import numpy as np
import pytest

from jointdec.errors import UserError

TINY = ["problem=gaussian", "data.rows=200", "data.features=4", "data.classes=3", "data.outputs=2"]


@pytest.mark.slow
def test_all_sizes_are_the_declared_ones_and_the_model_follows(train):
    found = train(*TINY, "training.epochs=1")
    assert found.config.model.features == 4
    train_split = found.dataset.train
    assert (train_split.x.shape, train_split.y["values"].shape, train_split.y["signs"].shape) == (
        (160, 4),
        (160, 2),
        (160, 2),
    )
    assert set(np.unique(train_split.y["label"])) == {0, 1, 2}
    shapes = {name: logits.shape[1:] for name, logits in found.formulation.logits(train_split.x[:5]).items()}
    assert shapes == {"label_logits": (3,), "values_logits": (2,), "signs_logits": (2,)}


@pytest.mark.slow
def test_the_labels_can_be_learned(train):
    found = train(*TINY, "training.epochs=30", "optimizer.learning_rate=0.01")
    measured = found.test()
    assert measured["values"] < 0.3 * (found.dataset.test.y["values"] ** 2).mean()
    assert measured["signs_accuracy"] > 0.75
    assert found.losses["loss"][-4:].mean() < 0.5 * found.losses["loss"][:4].mean()


def test_the_declared_share_of_labels_is_missing(configured):
    from jointdec.dataset import silent
    from jointdec.problems import find

    config = configured("problem=gaussian", "data.rows=2000", "data.missing=0.25")
    missing = find("gaussian").load(config.data, silent).missing
    assert set(missing) == {"label", "values", "signs"}
    assert missing["label"] == pytest.approx(500, abs=80)


def test_a_configuration_is_the_same_in_another_process(configured):
    config = configured(*TINY)
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize("typed", ["data.rows=0", "data.missing=1", "data.missing=-0.1", "data.classes=0"])
def test_a_size_that_cannot_be_is_refused_by_name(configured, typed):
    from jointdec.dataset import silent
    from jointdec.problems import find

    with pytest.raises(UserError, match=typed.partition("=")[0]):
        find("gaussian").load(configured("problem=gaussian", typed).data, silent)
