import numpy as np
import pytest

from jointdec.errors import UserError
from jointdec.problems.molecules.config import ArraysConfig
from jointdec.problems.molecules.load import load


def arrays(rows=40):
    rng = np.random.default_rng(1)
    return {
        "features": rng.normal(size=(rows, 135)),
        "nodes": rng.integers(0, 5, (rows, 9)),
        "edges": np.eye(4)[rng.integers(0, 4, (rows, 9, 9))],
    }


def loaded(tmp_path, **changes):
    np.savez(tmp_path / "my.npz", **{k: v for k, v in (arrays() | changes).items() if v is not None})
    return load(ArraysConfig("arrays", str(tmp_path / "my.npz")))


def test_every_row_of_the_file_is_in_one_split_with_its_own_labels(tmp_path):
    dataset, source = loaded(tmp_path), arrays()
    splits = (dataset.train, dataset.val, dataset.test)
    assert [len(split) for split in splits] == [32, 4, 4]
    assert (dataset.is_molecules, dataset.warnings) == (False, ())
    seen = []
    for split in splits:
        assert (split.y["nodes"].dtype, split.y["edges"].dtype, split.x.dtype) == (np.uint8, np.float32, np.float32)
        for features, nodes, edges in zip(split.x, split.y["nodes"], split.y["edges"], strict=True):
            row = int(np.abs(source["features"] - features).sum(1).argmin())
            np.testing.assert_array_equal(nodes, source["nodes"][row])
            np.testing.assert_array_equal(edges, source["edges"][row])
            seen.append(row)
    assert sorted(seen) == list(range(40))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"edges": None}, "must be an .npz file with the arrays features"),
        ({"features": np.zeros((40, 9, 15))}, "shape"),
        ({"features": np.full((40, 135), np.nan)}, r"5,400 NaN and 0 infinite values, the first at index \[0, 0\]"),
        ({"edges": np.full((40, 9, 9, 4), 0.5)}, "3,240 of 3,240 edges labels .* are no distributions"),
        ({name: array[:2] for name, array in arrays().items()}, "holds 2 rows, but at least 3 are needed"),
        ({"nodes": np.array([object()])}, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_trained_on_is_refused_in_one_sentence(tmp_path, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        loaded(tmp_path, **changes)


@pytest.mark.parametrize("content", [b"", b"no zip file", b"PK\x03\x04 broken"])
def test_what_is_no_npz_file_is_refused(tmp_path, content):
    (tmp_path / "my.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be read|must be an \.npz"):
        load(ArraysConfig("arrays", str(tmp_path / "my.npz")))


def test_without_a_path_the_user_is_told_what_to_give():
    with pytest.raises(UserError, match=r"data=arrays needs data.path=my.npz"):
        load(ArraysConfig("arrays", None))
