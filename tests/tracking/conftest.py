"""A small configuration, epoch and data set, and one initialised SQLite store for all tests here."""

import numpy as np
import pytest

from jointdec.config import AdamConfig, Config, LossConfig, TrackingConfig, TrainingConfig
from jointdec.dataset import Dataset, Skipped
from jointdec.problems.molecules.config import GaussianConfig, ModelConfig
from jointdec.problems.molecules.dataset import molecules_split
from jointdec.training.result import EpochResult


def pytest_configure(config):
    # MLflow 3.17 maps a table with a loader that SQLAlchemy 2.1 calls deprecated, when it first opens a store
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(scope="session")
def store_uri(tmp_path_factory):
    """One database for the session: a fresh one takes two seconds, so tests differ by experiment."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def make_config(request, store_uri):
    def make(uri=store_uri, name="mlflow"):
        return Config(
            problem="molecules",
            data=GaussianConfig("gaussian", n_train=12),
            model=ModelConfig("two_tower", alpha=0.2, trunk=[], tower=[128, 256], mixing=True),
            loss=LossConfig("split", {"nodes": 1.0, "edges": 2.0}),
            optimizer=AdamConfig("adam", learning_rate=1e-3, epsilon=1e-8),
            training=TrainingConfig("compiled", 2, 4, "float32", True, "stop", 10, "warn"),
            tracking=TrackingConfig(name, uri, experiment=request.node.name, log_model=False),
            seed=7,
        )

    return make


@pytest.fixture
def make_epoch():
    def make(epoch=0, steps=3, first_step=0, seconds=0.6):
        values = {
            name: first_step + np.arange(steps) + offset
            for name, offset in (("loss", 0.0), ("nodes", 0.25), ("edges", 0.5))
        }
        measured = first_step + np.arange(0, steps, 2)
        return EpochResult(
            epoch=epoch,
            first_step=first_step,
            steps=values,
            train={"loss": 3.0, "nodes": 1.0, "edges": 2.0},
            val={
                "loss": 3.5,
                "nodes": 1.5,
                "edges": 2.0,
                "node_accuracy": 0.5,
                "edge_accuracy": 0.75,
                "exact": 0.25,
            },
            seconds=seconds,
            norm_steps=measured,
            norms={"grad_norm": measured + 0.75, "nodes_1": measured + 1.0},
        )

    return make


@pytest.fixture
def dataset():
    def split(n):
        return molecules_split(
            np.zeros((n, 135), np.float32),
            np.zeros((n, 9), np.uint8),
            np.zeros((n, 9, 9), np.uint8),
            ("C",) * n,
        )

    skipped = (Skipped(3, "C[Si],C", "Si is none of C, N, O, F"),)
    return Dataset(split(6), split(2), split(2), "molecules", "sample.csv", skipped)


@pytest.fixture
def run_script(tmp_path):
    """A script that records one epoch in the store of its argument or folder, and prints the run's id."""
    path = tmp_path / "script.py"
    path.write_text(
        """
import sys
from pathlib import Path
import numpy as np
from jointdec.config import *
from jointdec.problems.molecules.config import *
from jointdec.tracking import open_tracker
from jointdec.training.result import EpochResult

config = Config(
    problem="molecules",
    data=GaussianConfig("gaussian", 12),
    model=ModelConfig("two_tower", 0.2, [], [128], True),
    loss=LossConfig("split", {"nodes": 1.0, "edges": 2.0}),
    optimizer=AdamConfig("adam", 1e-3, 1e-8),
    training=TrainingConfig("compiled", 2, 4, "float32", True, "stop", 10, "warn"),
    tracking=TrackingConfig("mlflow", sys.argv[1] if len(sys.argv) > 1 else None, "script", False),
    seed=7,
)
with open_tracker(config, Path("out"), []) as tracker:
    print(tracker.run_id, flush=True)
    tracker.log_devices([])
    tracker.log_epoch(EpochResult(0, 0, {"loss": np.ones(250)}, {}, {}, 1.0))
    tracker.finish("finished")
"""
    )
    return path
