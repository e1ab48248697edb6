import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointdec.dataset import silent
from jointdec.problems.molecules.config import MoleculesConfig
from jointdec.problems.molecules.load import SAMPLE
from jointdec.problems.molecules.records import read_records
from jointdec.problems.molecules.smiles import parse_records
from jointdec.problems.molecules.splits import encode_splits, split_names

LISTS = st.lists(st.text(max_size=3), min_size=3, max_size=80).filter(lambda texts: len(set(texts)) >= 3)
CONFIG = MoleculesConfig(name="molecules", path=None, column="", scattering="spectral", normalization="whiten")


@pytest.fixture(scope="module")
def molecules():
    return parse_records(read_records(SAMPLE, "")[:300], silent)


@given(LISTS)
def test_each_split_has_its_share_of_the_distinct_molecules_and_at_least_one(texts):
    name_of = dict(zip(texts, split_names(tuple(texts)), strict=True))
    sizes = {name: list(name_of.values()).count(name) for name in ("train", "val", "test")}
    held_out = max(1, len(set(texts)) // 10)
    assert sizes == {"train": len(set(texts)) - 2 * held_out, "val": held_out, "test": held_out}
    assert min(sizes.values()) >= 1


@given(LISTS, st.randoms())
def test_a_molecules_split_depends_neither_on_its_place_nor_on_how_often_it_is_there(texts, random):
    name_of = dict(zip(texts, split_names(tuple(texts)), strict=True))
    shuffled = [*texts, *random.choices(texts, k=5)]
    random.shuffle(shuffled)
    assert split_names(tuple(shuffled)) == [name_of[text] for text in shuffled]


def test_the_split_of_known_molecules_is_pinned():
    """By sha256sum: C 6b23c0d5..., N 8ce86a6a..., O c4694f2e..."""
    assert split_names(("C", "N", "O")) == ["test", "val", "train"]


def test_rows_of_a_split_belong_together_and_no_molecule_is_in_two_splits(molecules):
    encoded = encode_splits(molecules, CONFIG, silent)
    labels_of = dict(zip(molecules.smiles, zip(molecules.nodes, molecules.edges, strict=True), strict=True))
    seen = []
    for split in encoded[:3]:
        assert len(split) == len(split.names) == len(split.y["nodes"]) == len(split.y["edges"])
        np.testing.assert_array_equal(split.x, encoded.encoder.encode(split.y["nodes"], split.y["edges"], silent))
        for smiles, nodes, edges in zip(split.names, split.y["nodes"], split.y["edges"], strict=True):
            np.testing.assert_array_equal(nodes, labels_of[smiles][0])
            np.testing.assert_array_equal(edges, labels_of[smiles][1])
        seen += set(split.names)
    assert sorted(seen) == sorted(set(molecules.smiles))


def test_the_encoder_is_fitted_on_the_training_split_alone(molecules):
    before = encode_splits(molecules, CONFIG, silent)
    held_out = np.array([name != "train" for name in split_names(molecules.smiles)])
    nodes, edges = molecules.nodes.copy(), molecules.edges.copy()
    nodes[held_out] = nodes[held_out][:, ::-1]
    edges[held_out] = 0
    after = encode_splits(molecules._replace(nodes=nodes, edges=edges), CONFIG, silent)
    np.testing.assert_array_equal(after.train.x, before.train.x)
    np.testing.assert_array_equal(after.encoder.mean, before.encoder.mean)
    assert (after.test.x != before.test.x).any()
