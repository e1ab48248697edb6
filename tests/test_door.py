"""`jointdec.fit` as a user meets it: what it records, returns and says, and what it refuses with nothing written."""

import gc
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import jointdec
from jointdec.errors import (
    BadArgument,
    LabelOutsideClasses,
    LengthMismatch,
    NoLossNumber,
    NotCompiled,
    NotFiniteInput,
    OptimizerInUse,
    UnknownOutput,
    UserError,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(20, 3)).astype("float32")
Y = X.sum(1, keepdims=True)
KINDS = np.arange(20) % 3
HEADS = {"price": Y, "kind": KINDS}

pytestmark = [
    # MLflow 3.17 maps a table with a loader that SQLAlchemy 2.1 calls deprecated, when it first opens a store
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    # Keras 3.15 hands variables to NumPy 2.4 in the way of NumPy 1
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


def one_head(loss="mse", **compiled):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, name="only")], name="one")
    model.compile(**{"optimizer": "sgd", "loss": loss} | compiled)
    return model


def two_heads(**compiled):
    inputs = keras.Input((3,))
    heads = {
        "price": keras.layers.Dense(1, name="price")(inputs),
        "kind": keras.layers.Dense(3, "softmax", name="kind")(inputs),
    }
    model = keras.Model(inputs, heads, name="two")
    losses = {"price": "mse", "kind": "sparse_categorical_crossentropy"}
    model.compile(**{"optimizer": keras.optimizers.SGD(0.1), "loss": losses} | compiled)
    return model


def quietly(model, *data, **options):
    settings = {"jit": False, "tracking": "none", "verbose": 0, "batch_size": 8}
    return jointdec.fit(model, *data, **settings | options)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder, and no tracking server in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


# ---- what is recorded


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One database for the module: a fresh one takes two seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="module")
def recorded(store, tmp_path_factory):
    """A training that is recorded whole, with MLFLOW_RUN_ID in the environment: (what fit returned, MLflow's run)."""
    with pytest.MonkeyPatch.context() as patch:
        client = mlflow.MlflowClient(store)
        other = client.create_run(client.create_experiment("another")).info.run_id
        patch.setenv("MLFLOW_RUN_ID", other)
        model = two_heads(loss_weights={"price": 0.5, "kind": 2.0}, metrics={"kind": ["accuracy"]})
        run = quietly(
            model,
            X,
            HEADS,
            epochs=2,
            validation_split=0.25,
            norms=1,
            tracking=store,
            experiment="recorded",
            name="first try",
            tags={"data": "drawn"},
        )
        return run, client.get_run(run.run_id), client, other


def test_a_run_has_its_name_experiment_tags_and_outcome(recorded):
    run, found, client, _ = recorded
    assert run.outcome == "finished"
    assert found.info.run_name == "first try"
    assert found.info.status == "FINISHED"
    assert client.get_experiment(found.info.experiment_id).name == "recorded"
    assert found.data.tags["data"] == "drawn"
    assert found.data.tags["jointdec.outcome"] == "finished"
    assert run.run_id in run.where


def test_a_run_has_what_compile_and_fit_got_as_parameters(recorded):
    params = recorded[1].data.params
    expected = {
        "model.name": "two",
        "loss.price": "mse",
        "loss.weights.kind": "2.0",
        "metrics.kind": "accuracy",
        "optimizer": "SGD",
        "optimizer.learning_rate": "0.1",
        "fit.epochs": "2",
        "fit.batch_size": "8",
        "fit.rows": "15",
        "fit.shuffle": "true",
        "fit.seed": "0",
        "fit.jit": "false",
        "fit.on_divergence": "stop",
    }
    assert {name: params.get(name) for name in expected} == expected


def test_a_run_has_keras_s_losses_and_metrics_by_head_over_epochs_and_steps(recorded):
    run, found, client, _ = recorded
    for split, prefix in (("train", ""), ("val", "val_")):
        for name, key in (("loss", "loss"), ("price", "price_loss"), ("kind", "kind_loss"), ("kind_accuracy",) * 2):
            points = client.get_metric_history(found.info.run_id, f"{split}/{name}")
            assert [point.step for point in points] == [0, 1]
            assert [point.value for point in points] == pytest.approx(run.history[prefix + key], rel=1e-6)
            assert run.epochs[f"{split}/{name}"].tolist() == run.history[prefix + key]
    losses = client.get_metric_history(found.info.run_id, "step/price")
    assert [point.value for point in losses] == run.steps["price"].tolist()
    assert len(client.get_metric_history(found.info.run_id, "step/grad_norm")) == 4


def test_a_run_has_its_curves_and_what_was_matched_as_files(recorded, tmp_path):
    run, found, client, _ = recorded
    curves = np.load(client.download_artifacts(found.info.run_id, "curves.npz", str(tmp_path)))
    np.testing.assert_array_equal(curves["step/loss"], run.steps["loss"])
    np.testing.assert_array_equal(curves["step/grad_norm"], run.norms["grad_norm"])
    matched = Path(client.download_artifacts(found.info.run_id, "matching.txt", str(tmp_path))).read_text()
    assert "sparse_categorical_crossentropy" in matched
    assert found.inputs.dataset_inputs[0].dataset.name == "arrays"


def test_a_run_is_a_new_one_whatever_mlflow_run_id_says(recorded):
    run, found, client, other = recorded
    assert found.info.run_id == run.run_id != other
    assert client.get_run(other).data.params == {}


def test_a_divergence_is_recorded_with_the_state_that_its_step_started_from(store, tmp_path):
    x = X.copy()
    x[9] = 1e30  # whose square is Inf in float32
    run = quietly(one_head(), x, Y, shuffle=False, tracking=store, experiment="diverged")
    client = mlflow.MlflowClient(store)
    found = client.get_run(run.run_id)
    assert (run.outcome, run.divergence.step) == ("diverged", 1)
    assert found.info.status == "FAILED"
    tags = found.data.tags
    assert (tags["jointdec.outcome"], tags["jointdec.divergence.step"], tags["jointdec.divergence.tensor"]) == (
        "diverged",
        "1",
        "loss/Square",
    )
    state = np.load(client.download_artifacts(run.run_id, "divergence/state.npz", str(tmp_path)))
    assert state["batch"].tolist() == list(range(8, 16))
    assert state["step"] == 1
    for weight in run.model.weights:
        np.testing.assert_array_equal(state[f"state/{weight.path}"], weight.numpy())


def test_an_error_of_a_callback_is_the_run_s_too(store):
    def fails(epoch, logs):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        quietly(
            one_head(),
            X,
            Y,
            callbacks=keras.callbacks.LambdaCallback(on_epoch_end=fails),
            tracking=store,
            experiment="failed",
        )
    client = mlflow.MlflowClient(store)
    (found,) = client.search_runs([client.get_experiment_by_name("failed").experiment_id])
    assert found.info.status == "FAILED"
    assert found.data.tags["jointdec.outcome"] == "failed"
    assert mlflow.active_run() is None


class LogsNoLoss(keras.Model):
    """Keras's guide has such: two losses, and neither is called so."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            squares = tf.reduce_mean((self(x) - y) ** 2)
        self.optimizer.apply(tape.gradient(squares, self.trainable_variables), self.trainable_variables)
        return {"squares": squares}


def test_a_train_step_that_logs_no_loss_is_recorded_by_what_it_logs(store, capsys):
    inputs = keras.Input((3,))
    model = LogsNoLoss(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd")
    run = quietly(model, X, Y, epochs=2, tracking=store, experiment="no loss", verbose=2)
    metrics = mlflow.MlflowClient(store).get_run(run.run_id).data.metrics
    assert metrics["step/squares"] == run.steps["squares"].iloc[-1]
    assert metrics["train/squares"] == run.history["squares"][-1] == run.steps["squares"].iloc[-1]
    assert "epoch 2  squares " in capsys.readouterr().out


@pytest.mark.slow
def test_a_metric_with_a_value_a_class_is_recorded_by_class(store):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=[keras.metrics.F1Score(name="f1")])
    run = quietly(model, X, np.eye(3)[KINDS], validation_split=0.5, tracking=store, experiment="classes", verbose=2)
    metrics = mlflow.MlflowClient(store).get_run(run.run_id).data.metrics
    assert [metrics[f"val/f1/{kind}"] for kind in range(3)] == pytest.approx(run.history["val_f1"][0])
    assert run.epochs["train/f1/2"][0] == run.history["f1"][0][2]
    assert "val_f1/0" in repr(run)


def test_keras_s_own_loop_is_recorded_by_the_same_names(store):
    model = two_heads(run_eagerly=True)
    run = quietly(model, X, HEADS, epochs=2, validation_split=0.25, tracking=store, experiment="eager")
    found = mlflow.MlflowClient(store).get_run(run.run_id)
    assert found.data.params["fit.loop"] == "keras"
    assert found.data.metrics["val/price"] == pytest.approx(run.history["val_price_loss"][-1], rel=1e-6)
    assert found.data.tags["jointdec.outcome"] == "finished"


# ---- what is returned and said


def test_a_notebook_shows_names_as_text_and_a_server_as_a_link():
    frame = pd.DataFrame({"train/<b>loss</b>": [1.0]}, index=pd.Index([0], name="epoch"))
    common = {"model": None, "history": {"loss": [1.0]}, "steps": frame, "norms": frame, "epochs": frame}
    common |= {"outcome": "finished", "divergence": None, "jit": False, "run_id": "1"}
    html = jointdec.Run(**common, where="run 1, seen with: mlflow ui '<script>'")._repr_html_()
    assert "<b>loss" not in html
    assert "<script" not in html
    assert "&lt;script" in html
    linked = jointdec.Run(**common, where='http://host/#/"onmouseover="alert(1)')._repr_html_()
    assert '<a href="http://host/#/&quot;onmouseover=&quot;alert(1)">' in linked
    assert "finished" in repr(jointdec.Run(**common, where="here"))


def test_a_terminal_is_told_what_is_matched_each_epoch_and_the_outcome(capsys):
    quietly(two_heads(), X, HEADS, epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("output")
    assert [line.split()[0] for line in lines[1:3]] == ["kind", "price"]
    assert [line.split("  ")[0] for line in lines if line.startswith("epoch ")] == ["epoch 1", "epoch 2"]
    assert lines[-2:] == ["outcome      finished", "record       nowhere (tracking=none)"]


def test_with_verbose_0_nothing_is_said(capfd):
    quietly(one_head(), X, Y)
    assert capfd.readouterr().out == ""


# ---- what goes on


def test_a_second_fit_goes_on_with_weights_and_optimizer():
    once, twice = one_head(optimizer="adam"), one_head(optimizer="adam")
    twice.set_weights(once.get_weights())
    whole = quietly(once, X, Y, epochs=4, shuffle=False)
    parts = [quietly(twice, X, Y, epochs=2, shuffle=False) for _ in range(2)]
    assert parts[0].history["loss"] + parts[1].history["loss"] == whole.history["loss"]
    for a, b in zip(once.variables, twice.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.slow
def test_many_fits_leave_nothing_behind_but_the_model():
    model = one_head()
    before = set(vars(model))

    def left():
        gc.collect()
        return sum(
            type(thing).__name__ in ("Program", "FuncGraph", "Resident", "OwnModelLoop") for thing in gc.get_objects()
        )

    counts = []
    for _ in range(3):
        quietly(model, X, Y, validation_split=0.5, memory=3 * 8 * 16)
        counts.append(left())
    assert counts[2] == counts[1]
    assert set(vars(model)) - before <= {"history"}
    assert "apply" not in vars(model.optimizer)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jointdec-read")]


@pytest.mark.slow
def test_keras_s_own_methods_work_after_a_fit():
    model = one_head()
    quietly(model, X, Y, epochs=2)
    assert model.fit(X, Y, verbose=0).epoch == [0]
    assert np.isfinite(model.evaluate(X, Y, verbose=0))
    assert model.predict(X, verbose=0).shape == (20, 1)


@pytest.mark.slow
def test_a_model_compiled_anew_trains_by_its_new_loss():
    model = one_head()
    quietly(model, X, Y)
    model.compile("sgd", "mae")
    expected = np.abs(model.predict(X[:8], verbose=0) - Y[:8]).mean()
    run = quietly(model, X, Y, shuffle=False)
    assert run.steps["loss"][0] == pytest.approx(expected, rel=1e-6)


def test_fit_works_and_records_in_a_thread(store):
    results = []

    def train():
        results.append(quietly(one_head(), X, Y, tracking=store, experiment="thread"))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    found = mlflow.MlflowClient(store).get_run(results[0].run_id)
    assert found.data.tags["jointdec.outcome"] == results[0].outcome == "finished"


def test_eager_models_go_through_keras_s_own_loop(capsys):
    run = quietly(one_head(run_eagerly=True), X, Y, verbose=2)
    assert (
        "Keras's own loop trains, more slowly: the model was compiled with run_eagerly=True." in capsys.readouterr().out
    )
    assert list(run.history) == ["loss"]


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[index * 10 : index * 10 + 10], Y[index * 10 : index * 10 + 10]


@pytest.mark.parametrize("make", [Batches, lambda: ((X, Y) for _ in range(1))], ids=["PyDataset", "generator"])
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")  # Keras's, of a generator
def test_batches_made_in_python_go_through_keras_s_own_loop(make, capsys):
    run = quietly(one_head(), make(), verbose=2, batch_size=None)
    assert "makes its batches in Python." in capsys.readouterr().out
    assert np.isfinite(run.history["loss"]).all()


# ---- what is refused


def not_compiled():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


def borrowed_optimizer():
    optimizer = keras.optimizers.SGD()
    optimizer.build(one_head().trainable_variables)
    return one_head(optimizer=optimizer)


def with_nan():
    x = X.copy()
    x[7, 1] = np.nan
    return x


def returns_nothing(y, y_pred):
    pass


BATCHES = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
DATA = {  # name -> (model, data, options, class, sentence)
    "no compile": (not_compiled, (X, Y), {}, NotCompiled, r"The model is not compiled"),
    "no model": (lambda: "model", (X, Y), {}, BadArgument, "The model is a str"),
    "lengths": (one_head, (X, Y[:-1]), {}, LengthMismatch, "x has 20 rows, but y has 19"),
    "lengths of weights": (one_head, (X, Y), {"sample_weight": np.ones(3)}, LengthMismatch, "sample_weight has 3"),
    "lengths to validate": (one_head, (X, Y), {"validation_data": (X, Y[1:])}, LengthMismatch, "validation_data"),
    "unknown output": (two_heads, (X, HEADS | {"color": Y}), {}, UnknownOutput, "'color', which is no output"),
    "missing output": (two_heads, (X, {"price": Y}), {}, UnknownOutput, "nothing for 'kind'"),
    "nan": (one_head, (with_nan(), Y), {}, NotFiniteInput, "x holds nan in row 7"),
    "nan to validate": (one_head, (X, Y), {"validation_data": (with_nan(), Y)}, NotFiniteInput, "validation_data"),
    "classes": (two_heads, (X, HEADS | {"kind": KINDS + 1}), {}, LabelOutsideClasses, "holds 3 in row 2"),
    "no number": (lambda: one_head(returns_nothing), (X, Y), {}, NoLossNumber, "returns_nothing .* gives None"),
    "no loss": (lambda: one_head(None), (X, Y), {}, NoLossNumber, "compiled without a loss, and no layer adds one"),
    "another's optimizer": (borrowed_optimizer, (X, Y), {}, OptimizerInUse, "has already trained other variables"),
    "no labels": (one_head, (X,), {}, BadArgument, "y is None"),
    "no inputs": (one_head, (None, Y), {}, BadArgument, "x is None"),
    "no rows": (one_head, (X[:0], Y[:0]), {}, BadArgument, "x has no rows"),
    "text": (one_head, (np.array(["a"] * 20), Y), {}, BadArgument, "x is of dtype"),
    "classes of two outputs": (two_heads, (X, HEADS), {"class_weight": {0: 1.0}}, BadArgument, "class_weight needs y"),
    "lengths, by Keras's loop": (one_head, (X, Y[:-1]), {"callbacks": BATCHES}, LengthMismatch, "y has 19"),
    "nan, by Keras's loop": (one_head, (with_nan(), Y), {"callbacks": BATCHES}, NotFiniteInput, "row 7"),
    "split, by Keras's loop": (one_head, (X, Y), {"callbacks": BATCHES, "validation_split": 7}, BadArgument, "is 7"),
    "to validate, by Keras's loop": (
        one_head,
        (X, Y),
        {"callbacks": BATCHES, "validation_data": (X, Y[1:])},
        LengthMismatch,
        "validation_data",
    ),
    "skip, by Keras's loop": (one_head, (X, Y), {"callbacks": BATCHES, "on_divergence": "skip"}, BadArgument, "'skip'"),
}
WRONG = [
    *({"epochs": value} for value in (0, -1, "3", 2.0, 1.5, None, True, float("nan"), [1])),
    *({"batch_size": value} for value in (0, -1, 1e20, 10**20, "8", 8.0, True)),
    *({"initial_epoch": value} for value in (-1, 1, 5, "0", None)),
    *({"seed": value} for value in (-1, "0", 0.5, None, 2**64)),
    *({"jit": value} for value in ("yes", None, 1, 0, "True", [])),
    *({"on_divergence": value} for value in ("halt", None, True, 0)),
    *({"norms": value} for value in (0, -1, None, "all")),
    *({"memory": value} for value in (0, -1, "1GB", 1e9)),
    *({"shuffle": value} for value in ("batch", None, 7)),
    *({"verbose": value} for value in (7, -1, None, "loud", [1])),
    *({"validation_split": value} for value in (-0.1, 1.0, 1.5, "0.1", 0.999, True)),
    *({"validation_data": value} for value in ((X,) * 4, 3, "x")),
    *({"class_weight": value} for value in ("balanced", [1, 2], {"a": 1.0})),
    *({"callbacks": value} for value in ("early", [keras.callbacks.EarlyStopping], [None])),
    *({"tags": value} for value in ("a", ["a"], {"a": 1}, {1: "a"}, [("a", "b")])),
    *({"name": value} for value in ("", " ", 3, True)),
    *({"experiment": value} for value in ("", None, 3)),
    *({"tracking": value} for value in (None, "", True, Path("runs"), 3)),
]


def refused(model, *data, **options):
    """The error, whose sentence stands in one line; nothing is left behind."""
    weights = [w.numpy() for w in model.weights] if isinstance(model, keras.Model) else []
    with pytest.raises(UserError) as told:
        jointdec.fit(model, *data, **{"jit": False, "verbose": 0} | options)
    sentence = str(told.value)
    assert sentence
    assert "\n" not in sentence
    assert list(Path.cwd().iterdir()) == []
    assert mlflow.active_run() is None
    for weight, before in zip(getattr(model, "weights", ()), weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), before)
    return told.value


@pytest.mark.parametrize(("make", "data", "options", "kind", "sentence"), DATA.values(), ids=DATA)
@pytest.mark.usefixtures("here")
def test_bad_data_are_told_in_a_sentence_and_nothing_is_written(make, data, options, kind, sentence):
    error = refused(make(), *data, **options)
    assert type(error) is kind
    assert re.search(sentence, str(error)), str(error)


@pytest.mark.usefixtures("here")
def test_an_error_of_keras_s_own_comes_before_anything_is_written():
    with pytest.raises(ValueError, match="incompatible with the layer"):
        jointdec.fit(one_head(), X[:, :2], Y, jit=False, verbose=0)
    assert list(Path.cwd().iterdir()) == []


@pytest.fixture(scope="module")
def any_model():
    return one_head()


def show(options):
    ((name, value),) = options.items()
    return f"{name}={str(value)[:12]}"


@pytest.mark.parametrize("options", WRONG, ids=show)
@pytest.mark.usefixtures("here")
def test_a_wrong_argument_is_told_by_its_name_and_nothing_is_written(any_model, options):
    error = refused(any_model, X, Y, **options)
    assert type(error) is BadArgument
    assert next(iter(options)) in str(error)


@pytest.mark.parametrize(
    ("tracking", "sentence"),
    [
        ("nonsense", "tracking is 'nonsense' (did you mean 'none'?), but must be 'mlflow', 'none' or a tracking URI"),
        ("Mlflow", "did you mean 'mlflow'"),
        ("runs", "tracking is 'runs'"),
        ("/tmp", "tracking is '/tmp'"),
        ("file:///tmp/runs", "a folder"),
        ("gopher://host", "must begin with"),
        ("sqlite:////dev/null/mlflow.db", "/dev/null"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_place_where_nothing_can_be_recorded_is_told(any_model, tracking, sentence):
    assert sentence in str(refused(any_model, X, Y, tracking=tracking))


# ---- real processes

INTERRUPTED = """
import os, signal, sys, keras, numpy as np, jointdec
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
interrupt = lambda epoch, logs: epoch == 2 and os.kill(os.getpid(), signal.SIGINT)
interrupts = keras.callbacks.LambdaCallback(on_epoch_begin=interrupt)
more = [keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)] if "batches" in sys.argv else []
run = jointdec.fit(model, np.ones((20, 3)), np.ones((20, 1)), epochs=1000, jit=False, callbacks=[interrupts, *more])
print(run.outcome, len(run.epochs), run.run_id)
"""


def process(folder, code, *arguments, **environment):
    (folder / "script.py").write_text(code)
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "CUDA_VISIBLE_DEVICES": ""} | environment
    return subprocess.run(
        [sys.executable, "script.py", *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [(), ("batches",)], ids=["programs", "Keras's loop"])
def test_ctrl_c_ends_the_training_after_the_epoch_and_the_record_says_so(tmp_path, arguments):
    done = process(tmp_path, INTERRUPTED, *arguments)
    assert done.returncode == 0, done.stderr
    outcome, epochs, run_id = done.stdout.split()[-3:]
    assert (outcome, epochs) == ("interrupted", "3")
    assert "Stopping after this epoch" in done.stderr
    found = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_run(run_id)
    assert found.info.status == "KILLED"
    assert found.data.tags["jointdec.outcome"] == "interrupted"


JAX = """
import keras, numpy as np, jointdec
assert keras.backend.backend() == "jax"
x = np.arange(60, dtype="float32").reshape(20, 3) / 60
y = x.sum(1, keepdims=True)
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
other = keras.models.clone_model(model)
other.set_weights(model.get_weights())
for each in (model, other):
    each.compile("sgd", "mse", metrics=["mae"])
run = jointdec.fit(model, x, y, epochs=2, shuffle=False, validation_split=0.2)
history = other.fit(x, y, epochs=2, shuffle=False, validation_split=0.2, verbose=0).history
assert run.history == history, (run.history, history)
try:
    jointdec.fit(model, x, y[1:])
except jointdec.errors.LengthMismatch as error:
    print(error)
print(run.outcome, run.run_id)
"""


@pytest.mark.slow
def test_with_jax_as_keras_s_backend_keras_s_own_loop_trains_and_is_recorded(tmp_path):
    done = process(tmp_path, JAX, KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Keras's own loop trains, more slowly: Keras runs on jax" in done.stdout
    assert "x has 20 rows, but y has 19" in done.stdout
    outcome, run_id = done.stdout.split()[-2:]
    assert outcome == "finished"
    found = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_run(run_id)
    assert "val/loss" in found.data.metrics
