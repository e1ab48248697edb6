"""Which callbacks want every batch, and what is no callback."""

import keras
import pytest

from jointdec.errors import BadArgument
from jointdec.fitting.keras_itself import listed, that_want_batches

callbacks = keras.callbacks


class Batches(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


class OldBatches(callbacks.Callback):
    def on_batch_begin(self, batch, logs=None):
        pass


class HeldOutBatches(callbacks.Callback):
    def on_test_batch_end(self, batch, logs=None):
        pass


class Epochs(callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        pass

    def on_predict_batch_end(self, batch, logs=None):
        pass


class MyCheckpoint(callbacks.ModelCheckpoint):
    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)


AT_EPOCHS = [
    callbacks.EarlyStopping(),
    callbacks.ReduceLROnPlateau(),
    callbacks.LearningRateScheduler(lambda epoch: 0.1),
    callbacks.ModelCheckpoint("a.keras"),
    callbacks.BackupAndRestore("folder"),
    callbacks.TensorBoard("folder"),
    callbacks.CSVLogger("a.csv"),
    callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
    callbacks.SwapEMAWeights(swap_on_epoch=True),
    callbacks.TerminateOnNaN(),
    callbacks.History(),
    Epochs(),
    MyCheckpoint("a.keras"),
]
AT_BATCHES = [
    callbacks.ModelCheckpoint("a.keras", save_freq=10),
    callbacks.BackupAndRestore("folder", save_freq=10),
    callbacks.TensorBoard("folder", update_freq="batch"),
    callbacks.TensorBoard("folder", update_freq=10),
    callbacks.TensorBoard("folder", profile_batch=2),
    callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None),
    callbacks.LambdaCallback(on_train_batch_begin=print),
    Batches(),
    OldBatches(),
    HeldOutBatches(),
    MyCheckpoint("a.keras", save_freq=10),
]


def name(callback):
    return type(callback).__name__


@pytest.mark.parametrize("callback", AT_EPOCHS, ids=name)
def test_what_keras_ships_for_epochs_is_called_between_them(callback):
    assert that_want_batches([callback]) == []


@pytest.mark.parametrize("callback", AT_BATCHES, ids=name)
def test_one_that_does_something_in_every_batch_is_named(callback):
    assert that_want_batches([callbacks.EarlyStopping(), callback]) == [name(callback)]


def test_none_one_several_nested_or_a_list_of_keras_s_are_listed():
    one, other = callbacks.EarlyStopping(), callbacks.History()
    assert listed(None) == []
    assert listed(one) == [one]
    assert listed((one, [other])) == [one, other]
    assert listed(callbacks.CallbackList([one, other])) == [one, other]


@pytest.mark.parametrize("wrong", ["stop", [callbacks.EarlyStopping], [lambda epoch: None], {"a": 3}])
def test_what_is_no_callback_is_refused(wrong):
    with pytest.raises(BadArgument, match=r"callbacks has .* but must be one of keras.callbacks"):
        listed(wrong)
