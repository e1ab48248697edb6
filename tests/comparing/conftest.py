"""Runs without MLflow, as `load_runs` gives them, and a store of recorded ones."""

import numpy as np
import pandas as pd
import pytest

from jointdec.comparing.settings import CompareConfig
from jointdec.training.result import EpochResult

METRICS = ("nodes", "edges", "node_accuracy", "edge_accuracy", "exact")


@pytest.fixture(scope="session")
def make_runs():
    """``make_runs({"loss.name": "split", "seed": 3}, …)``: rows with everything else alike."""

    def make(*rows):
        usual = {
            **{"experiment_id": "1", "status": "FINISHED", "outcome": "finished", "data_digest": "d1"},
            **{"devices": "CPU", "commit": None, "artifacts": "file:///nowhere"},
            **{"loss.name": "joint", "loss.weights.nodes": 1.0, "loss.weights.edges": 2.0, "model.name": "two_tower"},
            **{"problem": "molecules"},
            **{
                "model.alpha": 0.2,
                "training.epochs": 4,
                "training.batch_size": 50,
                "data.name": "molecules",
                "seed": 0,
            },
        }
        ids = [{"run_id": f"run{number}", "run_name": f"run {number}"} for number in range(len(rows))]
        started = [{"started": pd.Timestamp(number, unit="s", tz="UTC")} for number in range(len(rows))]
        return pd.DataFrame([a | b | usual | row for a, b, row in zip(ids, started, rows, strict=True)])

    return make


@pytest.fixture
def settings():
    def make(**given):
        usual = {
            **{"by": ["loss"], "runs": [], "multirun": None, "filter": "", "baseline": None, "metrics": []},
            **{"target": None, "allow": [], "pictures": [], "output": None},
        }
        return CompareConfig(**usual | given)

    return make


@pytest.fixture(scope="session")
def make_epochs():
    """Epochs of 10 steps; validation exact rises by 0.1 an epoch from ``exact``."""

    def make(epochs=4, exact=0.1, shift=0.0, diverged_at=None):
        results = []
        for epoch in range(epochs):
            steps = {name: 2.0 - 0.01 * (10 * epoch + np.arange(10)) + shift for name in ("loss", "nodes", "edges")}
            last = diverged_at is not None and diverged_at < 10 * (epoch + 1)
            if last:
                steps = {name: values[: diverged_at - 10 * epoch + 1].copy() for name, values in steps.items()}
                steps["loss"][-1] = np.nan
            val = dict.fromkeys(METRICS, 0.5 + shift) | {"loss": 1.5 + shift, "exact": exact + 0.1 * epoch}
            train = dict.fromkeys(("loss", "nodes", "edges"), 1.0 + shift)
            measured = 10 * epoch + np.arange(0, len(steps["loss"]), 2)
            norms = {"grad_norm": steps["nodes"][::2], "nodes_1": steps["nodes"][::2], "edges_1": steps["edges"][::2]}
            at = diverged_at if last else None
            results.append(EpochResult(epoch, 10 * epoch, steps, train, val, 0.5, measured, norms, at))
            if last:
                break
        return results

    return make
