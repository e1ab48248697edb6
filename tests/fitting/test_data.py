"""Where the batches of `jointdec.fit` come from: their order, and that nothing depends on where the data lie."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import jointdec
from jointdec.errors import BadArgument, DataTooLarge

N, BATCH = 23, 4  # an incomplete last batch
rng = np.random.default_rng(0)
X = rng.normal(size=(N, 3))  # float64, which Keras makes float32
Y = X.sum(1, keepdims=True) ** 2
W = rng.uniform(0.5, 2, N)
HELD_OUT = (X[:9], Y[:9])
A_BATCH = BATCH * 4 * (3 + 1 + 1)  # bytes of x, y and a weight in float32
SMALL = 3 * 2 * A_BATCH  # for chunks of two batches


def make_model():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dropout(0.4), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse", weighted_metrics=["mae"])
    return model


def fit(model, *data, **options):
    return jointdec.fit(model, *data, **{"jit": False, "tracking": "none", "verbose": 0} | options)


def trained(*data, epochs=3, **options):
    """What a training ended with: numbers of each step, history, and every variable."""
    model = make_model()
    run = fit(model, *data, epochs=epochs, **options)
    variables = [v.numpy().tolist() for v in (*model.variables, *model.optimizer.variables)]
    return run.steps.to_numpy().tolist(), run.history, variables


@functools.cache
def from_memory(**options):
    """The reference: arrays that all fit."""
    return trained(X, Y, sample_weight=W, batch_size=BATCH, validation_data=HELD_OUT, **options)


@pytest.fixture
def mapped(tmp_path):
    """The same numbers in files."""

    def save(name, array):
        np.save(tmp_path / f"{name}.npy", array)
        return np.load(tmp_path / f"{name}.npy", mmap_mode="r")

    return {name: save(name, array) for name, array in {"x": X, "y": Y, "w": W}.items()}


def batches(size=N, batch=BATCH, **options):
    as_keras = (X.astype("float32"), Y.astype("float32"), W.astype("float32"))
    return tf.data.Dataset.from_tensor_slices(tuple(part[:size] for part in as_keras)).batch(batch, **options)


# ---- order


@functools.cache
def rows_of(seed, jit=False):
    """Which rows each step of two epochs trained on: the loss is the sum of 2**row, exact in float32's 24 bits."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.0), lambda y, p: keras.ops.sum(p))
    x = 2.0 ** np.arange(N)[:, None]
    run = fit(model, x, np.zeros((N, 1)), epochs=2, batch_size=BATCH, seed=seed, jit=jit)
    found = [{row for row in range(N) if int(loss) >> row & 1} for loss in run.steps["loss"]]
    return found[: len(found) // 2], found[len(found) // 2 :]


def test_every_example_is_trained_on_once_an_epoch_in_batches_of_the_size_asked_for():
    for epoch in rows_of(0):
        assert [len(batch) for batch in epoch] == [4, 4, 4, 4, 4, 3]
        assert set.union(*epoch) == set(range(N))


def test_another_epoch_and_another_seed_have_another_order():
    first, second = rows_of(0)
    assert first != second
    assert rows_of(1)[0] not in (first, second)


@pytest.mark.slow
@pytest.mark.parametrize("jit", [False, True])
def test_the_same_seed_gives_the_same_bits(jit):
    data = {"sample_weight": W, "batch_size": BATCH, "validation_split": 0.3, "jit": jit, "seed": 5}
    first = trained(X, Y, **data)
    assert trained(X, Y, **data) == first
    assert trained(X, Y, **data | {"seed": 6})[0] != first[0]


@pytest.mark.slow
def test_masks_go_on_from_one_fit_to_the_next_as_in_keras():
    ours, theirs = make_model(), make_model()
    for _ in range(2):
        run = fit(ours, X, Y, epochs=1, batch_size=BATCH, shuffle=False)
        history = theirs.fit(X, Y, epochs=1, batch_size=BATCH, shuffle=False, verbose=0)
        np.testing.assert_allclose(run.history["loss"], history.history["loss"], rtol=1e-6)  # float32 rounding
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_a_later_first_epoch_has_its_own_order():
    """So that a training in two parts sees the batches of one in one part."""
    whole, parts = make_model(), make_model()
    fit(whole, X, Y, epochs=4, batch_size=BATCH)
    fit(parts, X, Y, epochs=2, batch_size=BATCH)
    run = fit(parts, X, Y, epochs=4, initial_epoch=2, batch_size=BATCH)
    assert run.epoch == [2, 3]
    assert run.steps.index[0] == 12
    for a, b in zip(whole.variables, parts.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


# ---- larger than the memory


@pytest.mark.parametrize("shuffle", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("memory", [pytest.param(None, marks=pytest.mark.slow), SMALL])
def test_files_train_to_the_same_bits_as_memory_also_in_chunks(mapped, shuffle, memory):
    held_out = (mapped["x"][:9], mapped["y"][:9])
    options = {"batch_size": BATCH, "shuffle": shuffle, "memory": memory, "validation_data": held_out}
    found = trained(mapped["x"], mapped["y"], sample_weight=mapped["w"], **options)
    assert found == from_memory(shuffle=shuffle)


@pytest.mark.slow
def test_arrays_in_memory_that_are_too_large_are_streamed_to_the_same_bits():
    options = {"batch_size": BATCH, "validation_data": HELD_OUT, "memory": SMALL}
    assert trained(X, Y, sample_weight=W, **options) == from_memory(shuffle=True)


def test_data_of_which_no_batch_fits_are_refused(mapped):
    for data in ((X, Y), (mapped["x"], mapped["y"])):
        with pytest.raises(DataTooLarge, match="A batch of 4 examples takes"):
            fit(make_model(), *data, batch_size=BATCH, memory=100)
    with pytest.raises(DataTooLarge, match="A batch of 4 examples takes"):
        fit(make_model(), batches(), memory=100)


# ---- data sets


@pytest.mark.slow
@pytest.mark.parametrize("memory", [pytest.param(None, marks=pytest.mark.slow), SMALL])
def test_a_data_set_trains_to_the_same_bits_as_its_arrays(memory):
    held_out = batches(9).map(lambda x, y, _: (x, y))
    assert trained(batches(), validation_data=held_out, memory=memory) == from_memory(shuffle=False)


@pytest.mark.slow
def test_a_data_set_of_unknown_length_validated_on_arrays_does_so_too():
    data = batches().filter(lambda *_: True)
    assert trained(data, validation_data=HELD_OUT, memory=SMALL) == from_memory(shuffle=False)


@pytest.mark.slow
def test_arrays_validated_on_a_data_set_give_the_same_numbers():
    held_out = batches(9).map(lambda x, y, _: (x, y))
    assert trained(X, Y, sample_weight=W, batch_size=BATCH, validation_data=held_out) == from_memory(shuffle=True)


@pytest.mark.slow
def test_a_data_set_without_its_remainder_trains_on_whole_batches_only():
    found = trained(batches(drop_remainder=True))
    assert found == trained(X[:20], Y[:20], sample_weight=W[:20], batch_size=BATCH, shuffle=False)
    assert len(found[0]) == 15


def test_a_data_set_of_dicts_trains_as_in_keras():
    def make():
        keras.utils.set_random_seed(1)
        left, right = keras.Input((1,), name="left"), keras.Input((2,), name="right")
        hidden = keras.layers.Concatenate()([left, right])
        model = keras.Model({"left": left, "right": right}, {"a": keras.layers.Dense(1, name="a")(hidden)})
        model.compile("sgd", {"a": "mse"})
        return model

    data = batches().map(lambda x, y, w: ({"left": x[:, :1], "right": x[:, 1:]}, {"a": y}, {"a": w}))
    ours, theirs = make(), make()
    run = fit(ours, data, epochs=2, validation_data=data, memory=SMALL)
    history = theirs.fit(data, epochs=2, validation_data=data, shuffle=False, verbose=0)
    for name, values in history.history.items():
        np.testing.assert_allclose(run.history[name], values, rtol=1e-6, err_msg=name)  # float32 rounding
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")  # Keras's, where a length is not known
def test_a_data_set_whose_batches_are_padded_each_to_its_own_length_goes_to_keras(capsys):
    words = tf.data.Dataset.from_generator(
        lambda: ((np.ones((1 + row, 3), "float32"), Y[row]) for row in range(N)),
        output_signature=(tf.TensorSpec((None, 3), tf.float32), tf.TensorSpec((1,), tf.float32)),
    )
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(inputs)))
    model.compile("sgd", "mse")
    run = fit(model, words.padded_batch(BATCH), verbose=2)
    assert "Keras's own loop trains, more slowly: the data set has batches of several shapes" in capsys.readouterr().out
    assert run.outcome == "finished"


@pytest.mark.slow
def test_a_data_set_that_says_no_shapes_trains_where_its_batches_have_one():
    data = tf.data.Dataset.from_generator(
        lambda: iter(batches()), output_signature=tuple(tf.TensorSpec(None, tf.float32) for _ in range(3))
    )
    assert trained(data, validation_data=HELD_OUT) == from_memory(shuffle=False)


BESIDE = {
    "y": ({"y": Y}, "y is given beside a tf.data.Dataset"),
    "sample_weight": ({"sample_weight": W}, "sample_weight is given beside"),
    "class_weight": ({"class_weight": {0: 1.0}}, "class_weight is given beside"),
    "batch_size": ({"batch_size": 4}, "batch_size is given beside"),
    "validation_split": ({"validation_split": 0.5}, "validation_split cannot cut"),
}


@pytest.mark.parametrize(("options", "message"), BESIDE.values(), ids=BESIDE)
def test_what_a_data_set_holds_already_is_refused_beside_it(options, message):
    with pytest.raises(BadArgument, match=message):
        fit(make_model(), batches(), **options)
