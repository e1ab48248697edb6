"""Keras's callbacks under `jointdec.fit`, each against Keras's own ``fit`` with another one of its kind."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

import jointdec

callbacks = keras.callbacks
rng = np.random.default_rng(0)
X = rng.normal(size=(23, 3)).astype("float32")
Y = X.sum(1, keepdims=True) + rng.normal(size=(23, 1)).astype("float32")
DATA = {"x": X, "y": Y, "validation_data": (X[:9], -Y[:9]), "batch_size": 5, "shuffle": False, "verbose": 0}


def make_model(optimizer=None):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer or keras.optimizers.SGD(0.05), "mse")
    return model


def by_keras(model, **options):
    return model.fit(**DATA | options)


def by_jointdec(model, **options):
    return jointdec.fit(model, **DATA | options, jit=False, tracking="none")


def both(make_callbacks, *, epochs=6, optimizer=lambda: None):
    """Train by each, with callbacks that are made for it: (model, result, callbacks), of jointdec and Keras."""
    found = []
    for train in (by_jointdec, by_keras):
        model, called = make_model(optimizer()), make_callbacks(train.__name__)
        found.append((model, train(model, epochs=epochs, callbacks=called), called))
    (ours, run, _), (theirs, history, _) = found
    assert run.epoch == history.epoch
    assert_same_history(run.history, history.history)
    assert_same_variables(ours, theirs)
    return found


def assert_same_history(ours, theirs):
    assert list(ours) == list(theirs)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-6, err_msg=name)  # a few roundings of float32


def assert_same_variables(ours, theirs):
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6, atol=1e-7, err_msg=a.path)  # as above
    for a, b in zip(ours.optimizer.variables, theirs.optimizer.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6, atol=1e-7, err_msg=a.path)


def test_early_stopping_stops_and_brings_back_the_best_weights():
    """The validation's labels have the other sign, so that it gets worse from the first epoch on."""
    (model, run, (ours,)), (_, _, (theirs,)) = both(
        lambda _: [callbacks.EarlyStopping(patience=2, restore_best_weights=True)]
    )
    assert run.epoch == [0, 1, 2]
    assert (ours.stopped_epoch, ours.best_epoch) == (theirs.stopped_epoch, theirs.best_epoch) == (2, 0)
    assert model.evaluate(X[:9], -Y[:9], verbose=0) == pytest.approx(run.history["val_loss"][0], rel=1e-6)
    assert run.outcome == "finished"


@pytest.mark.slow
def test_a_plateau_and_a_schedule_by_epochs_change_the_learning_rate():
    (_, run, _), _ = both(
        lambda _: [
            callbacks.ReduceLROnPlateau(factor=0.5, patience=2, min_lr=1e-3),
            callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        ]
    )
    rates = run.history["learning_rate"]
    falls = np.divide(rates[1:], rates[:-1])
    assert sorted({round(float(fall), 4) for fall in falls}) == [0.45, 0.9]  # some halved as well


def test_a_checkpoint_an_epoch_holds_the_epoch_s_model(tmp_path):
    def checkpoints(name):
        every = callbacks.ModelCheckpoint(tmp_path / f"{name}-{{epoch}}-{{val_loss:.3f}}.keras")
        best = callbacks.ModelCheckpoint(
            tmp_path / f"best-{name}.weights.h5", save_best_only=True, save_weights_only=True
        )
        return [every, best]

    (model, run, _), (theirs, _, _) = both(checkpoints, epochs=3)
    files = {path.name.removeprefix("by_jointdec-"): path for path in tmp_path.glob("by_jointdec-*")}
    assert sorted(files) == sorted(path.name.removeprefix("by_keras-") for path in tmp_path.glob("by_keras-*"))
    assert len(files) == 3
    middle = keras.models.load_model(next(path for name, path in files.items() if name.startswith("2-")))
    assert middle.evaluate(X[:9], -Y[:9], verbose=0) == pytest.approx(run.history["val_loss"][1], rel=1e-6)
    assert middle.optimizer.iterations.numpy() == 10
    for trained, name in ((model, "by_jointdec"), (theirs, "by_keras")):
        trained.load_weights(tmp_path / f"best-{name}.weights.h5")
    assert_same_variables(model, theirs)


class Accident(Exception):  # noqa: N818 (nothing is wrong but the time)
    """What interrupts a training."""


class Fails(callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.at:
            raise Accident


@pytest.mark.slow
def test_a_backup_goes_on_after_an_accident_as_if_there_had_been_none(tmp_path):
    def adam():
        return make_model(keras.optimizers.Adam(0.01))

    whole, model = adam(), adam()
    expected = by_jointdec(whole, epochs=5)
    backup = {"callbacks": [callbacks.BackupAndRestore(tmp_path / "backup"), Fails(2)], "epochs": 5}
    with pytest.raises(Accident):
        by_jointdec(model, **backup)
    resumed = adam()
    run = by_jointdec(resumed, **backup | {"callbacks": backup["callbacks"][:1]})
    assert run.epoch == [3, 4]
    assert list(run.steps.index) == list(range(15, 25))
    assert run.history == {name: values[3:] for name, values in expected.history.items()}
    for a, b in zip(
        whole.variables + whole.optimizer.variables, resumed.variables + resumed.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    assert not (tmp_path / "backup").exists()


def test_tensorboard_gets_the_epochs_that_keras_gives_it(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder):
        found = {}
        for part in ("train", "validation"):
            events = EventAccumulator(str(tmp_path / folder / part))
            events.Reload()
            for tag in events.Tags()["tensors"]:
                points = events.Tensors(tag)
                if tag.startswith(("epoch", "evaluation")):
                    found[part, tag] = [(point.step, float(tf.make_ndarray(point.tensor_proto))) for point in points]
        return found

    both(lambda name: [callbacks.TensorBoard(tmp_path / name, write_graph=False)], epochs=2)
    ours, theirs = read("by_jointdec"), read("by_keras")
    assert ("train", "epoch_loss") in ours
    assert ("validation", "epoch_loss") in ours
    assert set(ours) == set(theirs)
    for tag, points in theirs.items():
        assert ours[tag] == [(step, pytest.approx(value, rel=1e-6)) for step, value in points]


def test_a_csv_file_and_a_lambda_get_each_epoch_s_logs(tmp_path):
    told = {"by_jointdec": [], "by_keras": []}

    def some(name):
        hear = told[name].append
        return [
            callbacks.CSVLogger(tmp_path / f"{name}.csv"),
            callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: hear(("begin", epoch)),
                on_epoch_end=lambda epoch, logs: hear(("end", epoch, sorted(logs))),
                on_train_begin=lambda logs: hear("train"),
                on_train_end=lambda logs: hear(("trained", sorted(logs))),
            ),
        ]

    both(some, epochs=2)
    assert told["by_jointdec"] == told["by_keras"]
    rows = {name: list(csv.DictReader((tmp_path / f"{name}.csv").read_text().splitlines())) for name in told}
    assert [list(row) for row in rows["by_jointdec"]] == [list(row) for row in rows["by_keras"]]
    for ours, theirs in zip(*rows.values(), strict=True):
        assert {k: float(v) for k, v in ours.items()} == pytest.approx(
            {k: float(v) for k, v in theirs.items()}, rel=1e-6
        )


@pytest.mark.parametrize("swap", [pytest.param(False, marks=pytest.mark.slow), True])
def test_averaged_weights_are_swapped_in_to_validate_and_back_to_train(swap):
    both(
        lambda _: [callbacks.SwapEMAWeights(swap_on_epoch=swap)],
        epochs=3,
        optimizer=lambda: keras.optimizers.SGD(0.05, momentum=0.9, use_ema=True, ema_momentum=0.7),
    )


class Notes(callbacks.Callback):
    """Every call, with the model's state and what fit has told."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def on_test_begin(self, logs=None):
        self.heard.append("test")

    def on_test_end(self, logs=None):
        self.heard.append(("tested", sorted(logs)))

    def on_epoch_end(self, epoch, logs=None):
        self.heard.append((epoch, dict(self.params), int(self.model.optimizer.iterations.numpy())))
        self.model.stop_training = epoch == 1


@pytest.mark.slow
def test_a_callback_sees_the_model_after_each_epoch_and_may_stop_it():
    (_, run, (ours,)), (_, _, (theirs,)) = both(lambda _: [Notes()])
    for notes in (ours, theirs):
        for part in notes.heard:
            if part[0] in (0, 1):
                part[1].pop("verbose", None)
    assert ours.heard == theirs.heard
    assert run.epoch == [0, 1]
    assert run.outcome == "finished"


def test_one_that_wants_batches_gets_keras_s_own_loop_and_the_user_is_told(capsys):
    seen = []
    loud = {
        "callbacks": [callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))],
        "epochs": 2,
    }
    model, other = make_model(), make_model()
    run = by_jointdec(model, **loud | {"verbose": 2})
    assert "Keras's own loop trains, more slowly: LambdaCallback wants every batch." in capsys.readouterr().out
    assert seen == [0, 1, 2, 3, 4] * 2
    history = by_keras(other, epochs=2)
    assert_same_history(run.history, history.history)
    assert_same_variables(model, other)
    assert list(run.epochs) == ["train/loss", "val/loss", "seconds"]
    assert run.epochs["val/loss"].tolist() == history.history["val_loss"]
    assert run.steps.empty
    assert run.norms.empty
    assert run.outcome == "finished"


def test_keras_s_own_loop_too_stops_at_a_nan_and_says_so():
    model = make_model(keras.optimizers.SGD(1e30))
    nothing = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    run = by_jointdec(model, epochs=4, callbacks=nothing)
    assert run.outcome == "diverged"
    assert len(run.epochs) == 1
