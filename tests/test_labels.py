import numpy as np
import pytest

from jointdec.errors import UserError
from jointdec.labels import label_problem
from jointdec.problems.molecules.dataset import HEADS, molecules_split, require_usable


def split(**changes):
    rng = np.random.default_rng(0)
    good = {
        "features": rng.normal(size=(6, 135)).astype(np.float32),
        "nodes": rng.dirichlet(np.ones(5), (6, 9)).astype(np.float32),
        "edges": rng.integers(0, 4, (6, 9, 9)).astype(np.uint8),
    }
    return molecules_split(**(good | changes))


def spoilt(array, *places):
    array = array.copy()
    for index, value in places:
        array[index] = value
    return array


def test_good_arrays_pass():
    require_usable(split(), "mine")
    assert label_problem(split(), HEADS, "mine") is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"features": np.zeros((6, 134))}, r"features of mine has the shape \(6, 134\), but must have \(6, 135\)"),
        ({"nodes": np.zeros((5, 9))}, r"y\['nodes'\] of mine has the shape \(5, 9\), but x has 6 rows"),
        ({"edges": np.zeros((6, 9, 9, 5))}, r"y\['edges'\] of mine has the shape \(6, 9, 9, 5\)"),
        (
            {"features": spoilt(split().x, ((3, 7), np.nan), ((4, 0), -np.inf), ((5, 1), np.nan))},
            r"x of mine holds 2 NaN and 1 infinite values, the first at index \[3, 7\]",
        ),
        (
            {"nodes": spoilt(split().y["nodes"], ((2, 1, 0), np.inf))},
            r"y\['nodes'\] of mine holds 1 labels that are NaN or infinite, the first at index \[2, 1, 0\]",
        ),
        (
            {"edges": spoilt(split().y["edges"], ((1, 2, 3), 4), ((5, 0, 0), 255))},
            r"y\['edges'\] of mine holds 2 class indices outside 0 to 3, the first at index \[1, 2, 3\], which is 4",
        ),
        (
            {"edges": np.zeros((6, 9, 9))},
            r"y\['edges'\] of mine has the shape \(6, 9, 9\), but the model's output 'edges' is \(n, 9, 9, 4\)",
        ),
    ],
)
def test_what_no_training_survives_is_told_with_count_and_place(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        require_usable(split(**changes), "mine")


def test_labels_that_are_no_distributions_are_counted_by_kind():
    nodes = spoilt(split().y["nodes"], ((2, 4), [2, -1, 0, 0, 0]), ((3, 0), [0.5, 0.4, 0, 0, 0]))
    problem = label_problem(split(nodes=nodes), HEADS, "mine")
    assert problem.startswith(
        "2 of 54 nodes labels in mine are no distributions (1 have a negative entry, 1 do not sum"
    )
    assert "index [2, 4], which is [2.0, -1.0, 0.0, 0.0, 0.0]" in problem
