"""Truths: what was saved."""

import subprocess
import sys

import numpy as np
import pytest

from jointdec.errors import UserError
from jointdec.problems import find

ROWS = 120


@pytest.fixture
def saved(tmp_path):
    """``saved(**{"y/price": ...})`` gives the path of a file with x and these; with ``None`` without one of them."""

    def save(**arrays):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npz"
        x = np.random.default_rng(0).normal(size=(ROWS, 4))
        arrays = {name: array for name, array in ({"x": x} | arrays).items() if array is not None}
        np.savez(path, **arrays)
        return str(path)

    return save


def every_kind():
    rng = np.random.default_rng(1)
    shares = rng.random((ROWS, 3))
    price, known = rng.normal(size=ROWS), rng.random(ROWS) > 0.2
    return {
        "y/kind": rng.integers(0, 4, ROWS),
        "y/yes": rng.random(ROWS) > 0.5,
        "y/grid": rng.integers(0, 3, (ROWS, 2, 2)),
        "y/tags": rng.random((ROWS, 3)) > 0.5,
        "y/share": shares / shares.sum(1, keepdims=True),
        "y/price": np.where(known, price, np.nan),
        "w/price": known,
        "y/visits": rng.poisson(3, ROWS),
        "kind/visits": "counts",
    }


def test_heads_kinds_and_shapes_are_read_from_the_file_and_train(train, saved):
    arrays = every_kind()
    found = train("problem=arrays", f"data.path={saved(**arrays)}", "training.epochs=2", "training.batch_size=32")
    kinds = {name: head.kind for name, head in found.formulation.problem.heads.items()}
    assert kinds == {
        "kind": "classes",
        "yes": "classes",
        "grid": "classes",
        "tags": "multilabel",
        "share": "distribution",
        "price": "real",
        "visits": "counts",
    }
    shapes = {name: logits.shape[1:] for name, logits in found.formulation.logits(found.dataset.test.x).items()}
    assert shapes["kind_logits"] == (4,)
    assert shapes["yes_logits"] == (2,)
    assert shapes["grid_logits"] == (2, 2, 3)
    assert shapes["tags_logits"] == (3,)
    assert found.dataset.missing == {"price": int((~arrays["w/price"]).sum())}
    assert np.isfinite(found.losses["loss"]).all()
    assert set(found.config.loss.weights) == set(kinds)


@pytest.mark.slow
def test_labels_that_follow_from_x_are_learned(train, saved):
    x = np.random.default_rng(2).normal(size=(ROWS, 4))
    path = saved(x=x, **{"y/sum": x.sum(1), "y/sign": (x[:, 0] > 0).astype(int)})
    found = train("problem=arrays", f"data.path={path}", "training.epochs=40", "optimizer.learning_rate=0.01")
    measured = found.test()
    assert measured["sum"] < 0.2 * found.dataset.test.y["sum"].var()
    assert measured["sign_accuracy"] > 0.7


def test_several_inputs_of_any_shape_are_taken_together(train, saved):
    rng = np.random.default_rng(3)
    picture, number = rng.integers(0, 255, (ROWS, 3, 3, 1)).astype(np.uint8), rng.normal(size=ROWS)
    path = saved(x=None, **{"x/picture": picture, "x/number": number, "y/price": number})
    found = train("problem=arrays", f"data.path={path}", "training.epochs=1", "model.trunk=[8,4]")
    assert set(found.dataset.train.x) == {"picture", "number"}
    shapes = [tuple(variable.shape) for variable in found.formulation.variables.values()]
    assert shapes == [(10, 8), (8,), (8, 4), (4,), (4, 1), (1,)]


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"y/a": None}, "but must be an .npz file with x or x/NAME"),
        ({"x": None, "y/a": np.zeros(ROWS)}, "but must be an .npz file with x or x/NAME"),
        ({"y/a": np.zeros(ROWS), "w/b": np.ones(ROWS)}, "holds 'w/b', but no 'y/b'"),
        ({"y/a": np.zeros(ROWS), "kind/a": "reel"}, "is 'reel' .did you mean 'real'.., but must be one of classes"),
        ({"y/a": np.zeros(ROWS), "labels": np.zeros(ROWS)}, "holds an array 'labels'"),
        ({"y/a": np.array(["red"] * ROWS)}, "is of type <U3, but labels are numbers"),
        ({"y/a": np.arange(ROWS) * 1000}, "holds whole numbers up to 119000, too many classes"),
        ({"y/a": np.zeros((ROWS, 0))}, "has no rows or no numbers"),
        ({"y/a": np.array([None] * ROWS)}, "cannot be read"),
        ({"y/loss": np.zeros(ROWS)}, "heads has 'loss', a name of jointdec's own"),
        ({"features": np.zeros(ROWS)}, "problem=molecules data=arrays"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_of_another_form_is_refused_in_one_sentence(saved, arrays, sentence):
    with pytest.raises(UserError, match=sentence):
        find(f"arrays:{saved(**arrays)}")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"y/a": np.zeros(ROWS - 1)}, r"y\['a'\] of .* has the shape \(119,\), but x has 120 rows"),
        ({"y/a": np.full(ROWS, np.nan)}, "labels that are NaN or infinite"),
        ({"y/a": np.full(ROWS, -1)}, "below 0"),
        ({"x": np.full((ROWS, 2), np.nan), "y/a": np.zeros(ROWS)}, "x of .* holds 240 NaN"),
        ({"y/a": np.zeros(ROWS), "w/a": np.full(ROWS, -1.0)}, "below 0"),
        ({"y/a": np.full(ROWS, 0.5), "kind/a": "classes"}, "not whole"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_numbers_that_cannot_be_trained_on_are_refused_in_one_sentence(configured, saved, arrays, sentence):
    from jointdec.dataset import silent

    config = configured("problem=arrays", f"data.path={saved(**arrays)}")
    with pytest.raises(UserError, match=sentence):
        find(config.problem).load(config.data, silent)


def test_without_a_file_it_says_how_to_name_one(configured):
    with pytest.raises(UserError, match=r"problem=arrays needs data.path=my.npz"):
        configured("problem=arrays")
    with pytest.raises(UserError, match="there is no such file"):
        configured("+experiment=arrays", "data.path=no.npz")


def test_no_other_problem_reads_the_file_that_data_path_names(configured, tmp_path):
    config = configured(f"data.path={tmp_path / 'no.smi'}")
    assert config.problem == "molecules"


@pytest.mark.slow
def test_a_missing_file_has_exit_code_2(tmp_path):
    typed = ["problem=arrays", "data.path=no.npz"]
    result = subprocess.run(
        [sys.executable, "-m", "jointdec.run", *typed], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (2, "jointdec: data.path is 'no.npz', but there is no such file.\n")
    assert not list(tmp_path.iterdir())
