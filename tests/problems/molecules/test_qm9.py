import importlib.util
import itertools
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jointdec.errors import UserError
from jointdec.problems.molecules import qm9 as module
from jointdec.problems.molecules import scattering
from jointdec.problems.molecules.config import Qm9Config
from jointdec.problems.molecules.load import SAMPLE, load

NAMES = ("train", "val", "test")
needs_qm9 = pytest.mark.skipif(importlib.util.find_spec("qm9pack") is None, reason="needs jointdec[qm9]")


def config(cache, scattering="spectral", normalization="whiten"):
    return Qm9Config(name="qm9", cache=str(cache), scattering=scattering, normalization=normalization)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A qm9pack of 60 molecules in two files, which cannot be imported: neither can the real one."""
    lines = [line for line in SAMPLE.read_text().splitlines() if not line.startswith("#")][:60]
    data = tmp_path / "site" / "qm9pack" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise ImportError('no pkg_resources')")
    for part, chosen in enumerate((lines[:40], lines[40:]), start=1):
        rows = "".join(f'"x.xyz",{i},"{smiles}"\n' for i, smiles in enumerate(chosen))
        (data / f"qm9_part{part}.csv").write_text("XYZ_file,Index,SMILES\n" + rows)
    (data / "qm9_polarizability.csv").write_text("XYZ_file,A_xx\nx.xyz,1.0\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return data


def load_seen(cache, **options):
    """The data set, and what progress was told meanwhile."""
    seen = []
    return load(config(cache, **options), lambda *call: seen.append(call)), seen


def test_molecules_of_all_parts_are_read_without_importing_the_package(package, tmp_path):
    dataset = load(config(tmp_path / "cache"))
    assert [len(getattr(dataset, name)) for name in NAMES] == [48, 6, 6]
    assert dataset.is_molecules
    assert "qm9pack" not in sys.modules


def test_the_second_load_reads_the_cache_and_gives_the_same(package, tmp_path):
    first, worked = load_seen(tmp_path / "new" / "cache")
    second, idle = load_seen(tmp_path / "new" / "cache")
    assert worked
    assert not idle
    assert second.digest == first.digest
    for name in NAMES:
        assert getattr(second, name).names == getattr(first, name).names
    drawn = [dataset.sample_features(3, np.random.default_rng(5)) for dataset in (first, second)]
    np.testing.assert_array_equal(*drawn)


def test_the_cache_may_be_in_the_home_folder(package, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    load(config("~/here"))
    assert len(list((tmp_path / "here").iterdir())) == 1


def test_each_option_of_the_encoder_has_its_own_file(package, tmp_path):
    for kind, normalization in itertools.product(("spectral", "diffusion"), ("whiten", "spherise")):
        options = {"scattering": kind, "normalization": normalization}
        fresh, _ = load_seen(tmp_path / "cache", **options)
        cached, idle = load_seen(tmp_path / "cache", **options)
        assert not idle
        assert cached.digest == fresh.digest
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_other_data_are_encoded_anew(package, tmp_path):
    load(config(tmp_path))
    with (package / "qm9_part2.csv").open("a") as part:
        part.write('"x.xyz",61,"FC(F)(F)F"\n')
    dataset, worked = load_seen(tmp_path)
    assert worked
    assert sum(len(getattr(dataset, name)) for name in NAMES) == 61


def test_other_code_encodes_anew(package, tmp_path, monkeypatch):
    load(config(tmp_path / "cache"))
    changed = tmp_path / "scattering.py"
    changed.write_text(Path(scattering.__file__).read_text() + "# changed\n")
    monkeypatch.setattr(scattering, "__file__", str(changed))
    assert load_seen(tmp_path / "cache")[1]


def test_a_cached_file_without_one_of_its_arrays_is_written_again(package, tmp_path):
    good = load(config(tmp_path / "cache"))
    (cached,) = (tmp_path / "cache").iterdir()
    with np.load(cached) as file:
        np.savez(cached, **{name: array for name, array in dict(file).items() if name != "val/smiles"})
    again, worked = load_seen(tmp_path / "cache")
    assert worked
    assert again.digest == good.digest


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_cached_file_never_gives_other_data(package, tmp_path, data):
    good = load(config(tmp_path / "cache"))
    (cached,) = (tmp_path / "cache").iterdir()
    content = bytearray(cached.read_bytes())
    where = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans(), label="cut"):
        del content[where:]
    else:
        content[where] ^= data.draw(st.integers(1, 255))
    cached.write_bytes(content)
    again = load(config(tmp_path / "cache"))
    assert again.digest == good.digest
    assert again.train.names == good.train.names
    drawn = [dataset.sample_features(3, np.random.default_rng(5)) for dataset in (good, again)]
    np.testing.assert_array_equal(*drawn)


def test_a_truncated_file_is_replaced_by_a_sound_one(package, tmp_path):
    load(config(tmp_path / "cache"))
    (cached,) = (tmp_path / "cache").iterdir()
    cached.write_bytes(cached.read_bytes()[:-100])
    assert load_seen(tmp_path / "cache")[1]
    with zipfile.ZipFile(cached) as archive:
        assert archive.testzip() is None


def test_an_array_that_was_shortened_in_its_header_is_noticed_by_the_checksum(package, tmp_path):
    good = load(config(tmp_path / "cache"))
    (cached,) = (tmp_path / "cache").iterdir()
    shortened = cached.read_bytes().replace(b"'shape': (48, 135)", b"'shape': (47, 135)")
    assert shortened != cached.read_bytes()
    cached.write_bytes(shortened)
    assert load(config(tmp_path / "cache")).digest == good.digest


def test_the_finished_file_is_moved_to_its_name_not_written_there(package, tmp_path, monkeypatch):
    written = []
    savez = np.savez

    def watched(path, **arrays):
        savez(path, **arrays)
        written.append(Path(path).stat().st_ino)

    monkeypatch.setattr(module.np, "savez", watched)
    load(config(tmp_path / "cache"))
    assert [path.stat().st_ino for path in (tmp_path / "cache").iterdir()] == written


def test_a_process_killed_while_it_writes_leaves_no_cached_file(package, tmp_path):
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from jointdec.problems.molecules.config import Qm9Config\n"
        "from jointdec.problems.molecules import qm9\n"
        "def savez(path, **arrays):\n"
        "    open(path, 'wb').write(b'half'); os._exit(9)\n"
        "qm9.np.savez = savez\n"
        "qm9.qm9(Qm9Config('qm9', 'spectral', 'whiten', sys.argv[2]), lambda *_: None)\n"
    )
    command = [sys.executable, "-c", code, str(package.parents[1]), str(tmp_path / "cache")]
    assert subprocess.run(command, check=False).returncode == 9
    assert list((tmp_path / "cache").glob("*.npz")) == []
    assert load_seen(tmp_path / "cache")[1]


def test_a_full_disk_is_reported_and_leaves_nothing_behind(package, tmp_path, monkeypatch):
    def full(path, **arrays):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.np, "savez", full)
    with pytest.raises(UserError, match=r"data\.cache is '.*cache', .* \(No space left on device\)"):
        load(config(tmp_path / "cache"))
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("cache", ["file", "file/below"])
def test_a_cache_that_is_no_folder_is_reported_before_the_work(package, tmp_path, cache):
    (tmp_path / "file").write_text("")
    seen = []
    with pytest.raises(UserError, match=r"data\.cache is '.*file.*', but no file can be written there"):
        load(config(tmp_path / cache), lambda *call: seen.append(call))
    assert seen == []


def test_without_the_package_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "qm9pack", None)
    with pytest.raises(UserError) as refused:
        load(config(tmp_path))
    assert str(refused.value) == 'data=qm9 needs the package qm9pack: pip install "jointdec[qm9]".'


def test_a_package_without_its_data_is_reported(package, tmp_path):
    for part in package.glob("qm9_part*.csv"):
        part.unlink()
    with pytest.raises(UserError, match="qm9pack is installed without its data"):
        load(config(tmp_path / "cache"))


def test_a_record_that_is_not_of_qm9_is_reported_not_skipped(package, tmp_path):
    with (package / "qm9_part1.csv").open("a") as part:
        part.write('"x.xyz",61,"CCCl"\n')
    with pytest.raises(UserError, match=r"1 records that are not of QM9, the first 'CCCl' \(holds Cl"):
        load(config(tmp_path / "cache"))
    assert list((tmp_path / "cache").iterdir()) == []


@needs_qm9
@pytest.mark.slow
def test_all_of_qm9_is_encoded_and_read_back(tmp_path):
    fresh = load(config(tmp_path))
    assert sum(len(getattr(fresh, name)) for name in NAMES) == 130_831
    assert fresh.skipped == ()
    edges = np.concatenate([getattr(fresh, name).y["edges"] for name in NAMES]).astype(float)
    laplacians = edges.sum(axis=2)[:, :, None] * np.eye(9) - edges
    assert np.linalg.eigvalsh(laplacians).max() == pytest.approx(
        7.82, abs=0.005
    )  # below 8, where SCAT's last band ends
    np.testing.assert_allclose(fresh.train.x.std(axis=0), 1, atol=1e-4)
    cached, idle = load_seen(tmp_path)
    assert not idle
    assert cached.digest == fresh.digest


@needs_qm9
@pytest.mark.slow
def test_the_sample_that_ships_is_the_one_its_script_writes():
    script = Path(__file__).parents[3] / "experiments" / "sample" / "make_sample.py"
    assert runpy.run_path(str(script))["sample"]().encode() == SAMPLE.read_bytes()
