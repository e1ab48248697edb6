import numpy as np
import pytest

from jointdec.problems.molecules.config import GaussianConfig
from jointdec.problems.molecules.load import load


@pytest.fixture(scope="module")
def dataset():
    return load(GaussianConfig(name="gaussian", n_train=2000))


def test_features_and_labels_have_the_shapes_of_molecules_and_are_float32(dataset):
    for split, n in [(dataset.train, 2000), (dataset.val, 200), (dataset.test, 200)]:
        assert split.x.shape == (n, 135)
        assert split.y["nodes"].shape == (n, 9, 5)
        assert split.y["edges"].shape == (n, 9, 9, 4)
        assert {array.dtype for array in (split.x, split.y["nodes"], split.y["edges"])} == {np.dtype(np.float32)}


def test_the_numbers_are_standard_normal_and_no_two_splits_share_any(dataset):
    for array in (dataset.train.x, dataset.train.y["nodes"], dataset.train.y["edges"]):
        # 90,000 numbers or more: 6 standard errors of the mean, of the variance and of the fourth moment
        assert abs(array.mean()) < 0.02
        assert abs(array.var() - 1) < 0.03
        assert abs((array**4).mean() - 3) < 0.2
    flat = [set(split.x.ravel().tolist()) for split in (dataset.train, dataset.val, dataset.test)]
    share = len(set.union(*flat)) / sum(map(len, flat))
    assert share > 0.98  # float32 has repeats by chance


def test_every_load_gives_the_same_numbers(dataset):
    assert load(GaussianConfig(name="gaussian", n_train=2000)).digest == dataset.digest


def test_there_are_no_molecules_to_decode_or_to_sample(dataset):
    assert not dataset.is_molecules
    assert dataset.train.names == ()
    assert dataset.skipped == ()


@pytest.mark.parametrize("n_train", [1, 9, 10, 29])
def test_validation_and_test_have_a_tenth_each_and_at_least_one(n_train):
    dataset = load(GaussianConfig(name="gaussian", n_train=n_train))
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (n_train, *[max(1, n_train // 10)] * 2)
