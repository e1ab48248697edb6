import os
import subprocess
import sys

import pytest

from jointdec.errors import UserError
from jointdec.tracking import open_tracker


def test_tracking_none_takes_everything_and_leaves_nothing(make_config, make_epoch, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_tracker(make_config(name="none"), tmp_path, []) as tracker:
        tracker.log_devices([])
        tracker.log_dataset(dataset)
        tracker.log_epoch(make_epoch())
        tracker.log_metrics({"test/loss": 1.0})
        tracker.log_artifact(tmp_path)
        tracker.set_tags({"a": 1})
        tracker.describe("text")
        assert tracker.log_model(None) is None
        assert tracker.run_id is None
        tracker.finish("finished")
    assert os.listdir(tmp_path) == []  # noqa: PTH208 (nothing at all, hidden files too)


def test_tracking_none_lets_exceptions_through(make_config, tmp_path):
    with pytest.raises(ValueError, match="mine"), open_tracker(make_config(name="none"), tmp_path, []):
        raise ValueError("mine")


def test_importing_the_package_does_not_import_mlflow():
    code = "import sys, jointdec.tracking; sys.exit('mlflow' in sys.modules or 'keras' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_misspelt_uri_is_refused_before_mlflow_is_imported(make_config, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # importing it would raise ImportError
    with pytest.raises(UserError, match="htp"):
        open_tracker(make_config(uri="htp://host"), tmp_path, [])
