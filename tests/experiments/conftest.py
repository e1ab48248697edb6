"""The experiments' modules: scripts in folders of their own, whose names repeat from folder to folder."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="session")
def import_from():
    """``import_from("convergence", "effects", "curves").effects``: modules of one experiment, forgotten afterwards."""

    def load(folder, *names):
        place = str(EXPERIMENTS / folder)
        sys.path.insert(0, place)
        try:
            return SimpleNamespace(**{name: importlib.import_module(name) for name in names})
        finally:
            sys.path.remove(place)
            for name, module in list(sys.modules.items()):
                if (getattr(module, "__file__", None) or "").startswith(f"{place}/"):
                    del sys.modules[name]

    return load


@pytest.fixture
def run_again(tmp_path):
    """Run a command that has run in this test's folder; see that it trains nothing again, and writes the same file."""

    def run(command, file, trials):
        def trained():
            return {curves: curves.stat().st_mtime_ns for curves in tmp_path.glob("sweeps/*/trials/*/curves.npz")}

        before, times = (tmp_path / file).read_bytes(), trained()
        assert len(times) == trials
        subprocess.run(command, check=True)
        assert (tmp_path / file).read_bytes() == before
        assert trained() == times

    return run
