"""A problem in a file of the user's, in all four commands, as they would type them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = """
import keras
import numpy as np

import jointdec


def data(rows: int = 120, noise: float = 0.1):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4)).astype("float32")
    price = x[:, 0] + noise * rng.normal(size=rows)
    there = (rng.random(rows) > 0.2).astype("float32")
    kind = (x[:, 1] > 0).astype(int) + (x[:, 2] > 0)
    return x, {"price": np.where(there > 0, price, np.nan), "kind": kind}, {"price": there}


def model(width: int = 8):
    inputs = keras.Input((4,))
    x = keras.layers.Dense(width, activation="relu")(inputs)
    return keras.Model(inputs, {"price": keras.layers.Dense(1)(x), "kind": keras.layers.Dense(3)(x)})


def judge(model, dataset, folder):
    (folder / "note.txt").write_text(f"{len(dataset.test)} houses")
    return {"largest": float(np.abs(model.predict(dataset.test.x, verbose=0)["price"]).max())}


problem = jointdec.Problem(
    data=data,
    model=model,
    heads={"price": jointdec.Head("real", loss="mse", metrics=["mae", "r2_score"]), "kind": jointdec.Head("classes")},
    terms={"cheap": lambda y, y_pred: abs(y_pred["price"][:, 0]) * (y["kind"] == 0)},
    metrics={"exact": "all_right"},
    judge=judge,
)
"""


def command(folder, name, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"jointdec.{name}", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("own problem")
    (place / "house.py").write_text(HOUSE)
    return place


@pytest.fixture(scope="module")
def run(folder):
    done = command(folder, "run", "problem=house.py", "model.width=6", "loss.weights.price=3", "training.epochs=2")
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def summary_of(folder):
    return json.loads(max(folder.glob("outputs/*/*/summary.json"), key=lambda file: file.stat().st_mtime).read_text())


@pytest.mark.slow
def test_a_run_trains_judges_and_records_it(folder, run):
    from mlflow import MlflowClient

    assert "weights price 3, kind 1, cheap 1" in run.stdout
    summary = summary_of(folder)
    assert {"val/loss", "val/price", "val/kind", "val/cheap", "val/price_mae", "val/exact"} <= set(summary["last"])
    assert summary["final"]["judge/largest"] > 0
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    recorded = client.get_run(summary["run_id"])
    assert recorded.data.params["model.width"] == "6"
    assert recorded.data.params["loss.weights.price"] == "3.0"
    assert recorded.data.params["problem"] == "house.py"
    assert recorded.data.tags["jointdec.problem"] == "house"
    assert len(recorded.data.tags["jointdec.problem_digest"]) == 16
    assert int(recorded.data.tags["jointdec.missing.price"]) > 0
    assert "note.txt" in {artifact.path for artifact in client.list_artifacts(summary["run_id"])}


@pytest.mark.slow
def test_a_replay_wants_the_file_named_again_and_says_whether_it_is_that_of_then(folder, run):
    run_id = summary_of(folder)["run_id"]
    refused = command(folder, "replay", run_id)
    assert refused.returncode == 2
    assert "name it again, with problem=house.py" in refused.stderr
    again = command(folder, "replay", run_id, "problem=house.py")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "to the last bit" in again.stdout
    (folder / "house_2.py").write_text(HOUSE + "\n# changed\n")
    changed = command(folder, "replay", run_id, "problem=house_2.py")
    assert "house_2.py is not the file of then" in changed.stdout


@pytest.mark.slow
def test_a_sweep_searches_its_keys_weights_and_terms_and_a_comparison_speaks_of_its_heads(folder, run):
    second = command(folder, "run", "problem=house.py", "loss=zero_plus_total", "training.epochs=2")
    assert second.returncode == 0, second.stderr
    compared = command(folder, "compare", "by=loss.name", "allow=[loss.weights,model]")
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert "price" in compared.stdout
    swept = command(
        folder,
        "sweep",
        "problem=house.py",
        "model.width=choice(4,8)",
        "loss.weights.price=interval(0.1,2)",
        "loss.terms.cheap=interval(0,1)",
        "data.rows=90",
        "training.epochs=1",
        "sweep.n_trials=3",
        "sweep.objective=val/price",
    )
    assert swept.returncode == 0, swept.stdout + swept.stderr
    assert "minimize val/price" in swept.stdout
    pages = list(Path(folder).glob("comparisons/*/*.html")) + list(Path(folder).rglob("*.html"))
    assert any("kind accuracy" in page.read_text() for page in pages)


@pytest.mark.slow
def test_help_and_the_composed_configuration_show_its_keys(folder):
    shown = command(folder, "run", "problem=house.py", "--cfg", "job")
    assert "rows: 120" in shown.stdout
    assert "width: 8" in shown.stdout
    assert "price: 1.0" in shown.stdout
    assert "noise: 0.1" in command(folder, "run", "problem=house.py", "--help").stdout


@pytest.mark.parametrize("precision", ["float32", "float64", "float16"])
def test_a_model_is_built_in_the_run_s_precision_and_no_other_model_after_it(configured, precision):
    import keras

    from jointdec.objective.formulation import make_formulation

    formulation = make_formulation(configured("problem=penguins", f"training.precision={precision}"))
    wide = "float64" if precision == "float64" else "float32"
    assert {variable.dtype for variable in formulation.inner.weights} == {wide}
    keras.config.set_floatx("float32")
    assert keras.layers.Dense(1).dtype_policy.name == "float32"
