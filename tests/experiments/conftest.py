"""The experiments' modules: scripts in folders of their own, whose names repeat from folder to folder."""

import importlib
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
def times_of_trials(tmp_path):
    """When each trial of the studies in this test's folder was trained: what is trained again has another time."""
    return lambda: {file: file.stat().st_mtime_ns for file in tmp_path.glob("sweeps/*/trials/*/curves.npz")}
