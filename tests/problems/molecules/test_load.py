import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointdec.errors import UserError
from jointdec.problems.molecules.config import MoleculesConfig
from jointdec.problems.molecules.load import SAMPLE, load

NAMES = ("train", "val", "test")


def config(path=None, column="smiles", scattering="spectral", normalization="whiten"):
    return MoleculesConfig(
        name="molecules",
        path=None if path is None else str(path),
        column=column,
        scattering=scattering,
        normalization=normalization,
    )


@pytest.fixture(scope="module")
def sample():
    return load(config())


@pytest.fixture(scope="module")
def lines():
    return [line for line in SAMPLE.read_text().splitlines() if not line.startswith("#")]


def test_the_sample_has_5000_molecules_of_which_500_validate_and_500_test(sample):
    assert [len(getattr(sample, name)) for name in NAMES] == [4000, 500, 500]
    assert sample.skipped == ()
    assert sample.is_molecules
    assert len({smiles for name in NAMES for smiles in getattr(sample, name).names}) == 5000


def test_features_and_labels_of_the_sample_have_the_documented_shapes_and_types(sample):
    for split in (sample.train, sample.val, sample.test):
        n = len(split)
        assert (split.x.shape, split.x.dtype) == ((n, 135), np.float32)
        assert (split.y["nodes"].shape, split.y["nodes"].dtype) == ((n, 9), np.uint8)
        assert (split.y["edges"].shape, split.y["edges"].dtype) == ((n, 9, 9), np.uint8)
        assert np.isfinite(split.x).all()
        assert split.y["nodes"].max() <= 4
        assert split.y["edges"].max() <= 3


def test_features_drawn_for_generation_have_the_scale_of_the_training_features(sample):
    drawn = sample.sample_features(4000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.std(axis=0), sample.train.x.std(axis=0), rtol=0.1)


@pytest.mark.slow
def test_every_option_of_the_encoder_gives_other_features_of_the_same_labels(sample):
    seen = {sample.digest}
    for scattering, normalization in [("spectral", "spherise"), ("diffusion", "whiten"), ("diffusion", "spherise")]:
        other = load(config(scattering=scattering, normalization=normalization))
        np.testing.assert_array_equal(other.train.y["edges"], sample.train.y["edges"])
        seen.add(other.digest)
    assert len(seen) == 4


def test_a_file_of_ones_own_is_read_with_its_bad_lines_named(tmp_path, lines):
    path = tmp_path / "mine.smi"
    path.write_text("# mine\n" + "\n".join([*lines[:20], "CCCl", "?", *lines[20:40]]))
    dataset = load(config(path))
    assert sum(len(getattr(dataset, name)) for name in NAMES) == 40
    assert [(skipped.line, skipped.text) for skipped in dataset.skipped] == [(22, "CCCl"), (23, "?")]
    assert dataset.source == str(path)


def test_a_csv_and_a_smi_file_of_the_same_molecules_are_the_same_data(tmp_path, lines):
    smi, table = tmp_path / "a.smi", tmp_path / "a.csv"
    smi.write_text("\n".join(lines[:50]))
    table.write_text("id,structure\n" + "".join(f'{i},"{line}"\n' for i, line in enumerate(lines[:50])))
    assert load(config(smi)).digest == load(config(table, column="structure")).digest


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_order_of_the_lines_does_not_matter(tmp_path_factory, lines, seed):
    chosen = [*lines[:40], *lines[:5]]
    folder = tmp_path_factory.mktemp("order")
    (folder / "a.smi").write_text("\n".join(chosen))
    random.Random(seed).shuffle(chosen)
    (folder / "b.smi").write_text("\n".join(chosen))
    one, two = load(config(folder / "a.smi")), load(config(folder / "b.smi"))
    assert one.digest == two.digest
    assert [getattr(one, name).names for name in NAMES] == [getattr(two, name).names for name in NAMES]


def test_a_path_may_begin_with_the_home_folder(tmp_path, lines, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.smi").write_text("\n".join(lines[:30]))
    assert len(load(config("~/a.smi")).train) == 24


def test_an_empty_path_is_not_the_sample():
    with pytest.raises(UserError, match=r"must be a \.smi or a \.csv file"):
        load(config(""))


def test_three_molecules_are_enough_and_leave_one_for_each_split(tmp_path):
    path = tmp_path / "a.smi"
    path.write_text("C\nCO\nN\n")
    dataset = load(config(path))
    assert [len(getattr(dataset, name)) for name in NAMES] == [1, 1, 1]
    assert not dataset.sample_features(2, np.random.default_rng(0)).any()


def test_two_distinct_molecules_are_too_few(tmp_path):
    path = tmp_path / "a.smi"
    path.write_text("C\nCO\nOC\n")
    with pytest.raises(UserError) as refused:
        load(config(path))
    assert str(refused.value) == (
        f"data.path is '{path}', which holds 2 distinct molecules that fit, but at least 3 are needed "
        "(one each to train, validate and test)."
    )


def test_a_file_without_a_molecule_that_fits_is_refused_with_the_counted_reasons(tmp_path):
    path = tmp_path / "a.smi"
    path.write_text("CCS\nCS\n???\n")
    with pytest.raises(UserError) as refused:
        load(config(path))
    assert "holds 0 distinct molecules" in str(refused.value)
    assert str(refused.value).endswith("; 2 skipped: holds S (C, O, N and F fit); 1 skipped: not a valid SMILES.")


def test_progress_of_each_part_starts_at_0_and_ends_at_the_total(tmp_path, lines):
    path = tmp_path / "a.smi"
    path.write_text("\n".join(lines[:30]))
    seen = []
    load(config(path), lambda *call: seen.append(call))
    assert list(dict.fromkeys(call[0] for call in seen)) == ["Read molecules", "Fit encoder", "Encode molecules"]
    assert seen[:2] == [("Read molecules", 0, 30), ("Read molecules", 30, 30)]
    assert all(0 <= done <= total for _, done, total in seen)


def test_importing_the_loader_imports_neither_rdkit_nor_tensorflow():
    code = "import sys, jointdec.problems.molecules.load; print({'rdkit', 'tensorflow', 'keras'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "set()\n"
