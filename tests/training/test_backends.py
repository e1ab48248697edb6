"""``training=fit`` on Keras's other backends, each in a process of its own, against TensorFlow's compiled program."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

RUN = [sys.executable, "-m", "jointdec.run", "tracking=none", "training.epochs=1", "hydra.run.dir=out"]


def summary_of(folder, backend, *overrides):
    folder.mkdir()
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run([*RUN, *overrides], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "out" / "summary.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["joint", "split"])
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_an_epoch_of_fit_on_another_backend_ends_where_tensorflow_ends(tmp_path, backend, loss):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    ours = summary_of(tmp_path / "tensorflow", "tensorflow", f"loss={loss}")
    theirs = summary_of(tmp_path / backend, backend, f"loss={loss}", "training=fit")
    assert theirs["steps"] == ours["steps"] == 80
    for name in ("loss", "nodes", "edges"):
        # 80 steps of float32 whose sums each backend orders in its own way
        assert theirs["last"][f"train/{name}"] == pytest.approx(ours["last"][f"train/{name}"], rel=1e-3)
        assert theirs["final"][f"test/{name}"] == pytest.approx(ours["final"][f"test/{name}"], rel=2e-2)
