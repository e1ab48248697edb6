import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
from keras.src.trainers.data_adapters.array_slicing import train_validation_split

from jointdec import errors
from jointdec.training.inputs import read_examples, split_off, unpack_validation

N = 6
X = np.linspace(0, 1, 2 * N).reshape(N, 2)
ONE = np.arange(N, dtype=np.float32)[:, None]
LABELS = {"price": ONE, "kind": np.arange(N) % 3}
LOSSES = {"price": "mse", "kind": "sparse_categorical_crossentropy"}


def two_heads(kind="dict", **compiled):
    inputs = keras.Input((2,), name="rooms")
    heads = {
        "price": keras.layers.Dense(1, name="price")(inputs),
        "kind": keras.layers.Dense(3, "softmax", name="kind")(inputs),
    }
    model = keras.Model(inputs, heads if kind == "dict" else list(heads.values()))
    model.compile(**{"optimizer": "sgd", "loss": LOSSES} | compiled)
    return model


def one_head(loss="mse", outputs=1, **compiled):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(outputs)])
    model.compile("sgd", loss, **compiled)
    return model


def keras_batch(x, y=None, sample_weight=None, class_weight=None):
    """All rows, as Keras's own fit hands them to a step."""
    adapter = ArrayDataAdapter(x, y, sample_weight, batch_size=N, class_weight=class_weight)
    batch = next(iter(adapter.get_tf_dataset()))
    return keras.tree.map_structure(lambda tensor: tensor.numpy(), batch)


def assert_same(ours, keras_own):
    keras.tree.assert_same_structure(ours, keras_own)
    for a, b in zip(keras.tree.flatten(ours), keras.tree.flatten(keras_own), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


NUMBERS = np.arange(N).reshape(N, 1)
DTYPES = ["float64", "float32", "float16", "int64", "int8", "uint8", "uint64", "bool", ">f4", ">f8", ">i4"]
FRAME = pd.DataFrame({"area": X[:, 0], "rooms": range(N), "new": [True, False] * 3})
ARRAYS = {dtype: NUMBERS.astype(dtype) for dtype in DTYPES} | {
    "series": pd.Series(range(N)),
    "series of float16": pd.Series(range(N), dtype="float16"),
    "frame": FRAME,
    "tensor": tf.constant(X),
    "bfloat16 tensor": tf.constant(X, tf.bfloat16),
    "variable": keras.Variable(X),
    "index": pd.RangeIndex(N),
    "a view backwards": X[::-1],
}


@pytest.mark.parametrize("given", ARRAYS.values(), ids=ARRAYS)
def test_an_array_becomes_what_keras_makes_of_it(given):
    assert_same(read_examples(one_head(), given, ONE).x, keras_batch(given))


@settings(max_examples=30)
@given(hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(min_dims=1, max_dims=3).map(lambda s: (N, *s[1:])),
                  elements=st.integers(0, 1)))  # fmt: skip
def test_any_labels_become_what_keras_makes_of_them(y):
    model = one_head(lambda y, p: keras.ops.mean(p))
    assert_same(read_examples(model, X, y).y, keras_batch(X, y)[1])


def test_lists_tuples_and_dicts_keep_their_place_as_in_keras():
    x = {"b": [X, pd.Series(range(N))], "a": (X,)}
    model = Stepper()
    ours = read_examples(model, x, list(LABELS.values()), [np.ones(N), np.ones(N)])
    assert_same((ours.x, ours.y, ours.sample_weight), keras_batch(x, list(LABELS.values()), [np.ones(N), np.ones(N)]))


@pytest.mark.parametrize("weights", [np.arange(N), np.arange(N)[:, None], pd.Series(range(N)),
                                     {"price": np.ones(N), "kind": np.arange(N)}])  # fmt: skip
def test_sample_weights_lie_as_keras_lays_them(weights):
    ours = read_examples(two_heads(), X, LABELS, weights)
    assert_same((ours.x, ours.y, ours.sample_weight), keras_batch(X, LABELS, weights))


@pytest.mark.parametrize("y", [np.arange(N) % 3, (np.arange(N) % 3)[:, None], np.eye(3)[np.arange(N) % 3],
                               (np.arange(N) % 3).astype(float), pd.Series(np.arange(N) % 3)])  # fmt: skip
def test_class_weights_are_those_of_keras(y):
    weights = {0: 1.0, np.int64(2): 5.0}
    ours = read_examples(one_head(lambda y, p: keras.ops.mean(p)), X, y, class_weight=weights)
    assert_same(ours.sample_weight, keras_batch(X, y, class_weight=weights)[2])


@settings(max_examples=30)
@given(st.integers(1, 40), st.floats(0, 1))
def test_the_rows_split_off_are_those_of_keras(size, fraction):
    examples = read_examples(one_head(), np.arange(2 * size).reshape(size, 2), np.arange(size))
    try:
        keras_own = train_validation_split((examples.x, examples.y), fraction)
    except ValueError:
        with pytest.raises(errors.BadArgument, match="validation_split"):
            split_off(examples, fraction)
    else:
        for ours, theirs in zip(split_off(examples, fraction), keras_own, strict=True):
            assert_same((ours.x, ours.y), tuple(array[:] for array in theirs))


def test_class_weights_do_not_weigh_the_rows_split_off_and_sample_weights_do():
    by_class = read_examples(one_head(), X, ONE, class_weight={0: 3.0})
    by_sample = read_examples(one_head(), X, ONE, sample_weight=np.arange(N))
    assert [part.sample_weight is None for part in split_off(by_class, 0.5)] == [False, True]
    np.testing.assert_array_equal(split_off(by_sample, 0.5)[1].sample_weight, [3, 4, 5])


def test_rows_are_taken_in_their_order():
    taken = read_examples(two_heads(), X, LABELS, np.arange(N)).rows(np.array([4, 0]))
    np.testing.assert_array_equal(taken.y["price"], [[4], [0]])
    np.testing.assert_array_equal(taken.sample_weight["kind"], [4, 0])
    assert taken.size == 2


def test_a_mapped_file_stays_one_until_rows_are_taken(tmp_path):
    np.save(tmp_path / "x.npy", X)
    examples = read_examples(one_head(), np.load(tmp_path / "x.npy", mmap_mode="r"), ONE)
    assert isinstance(examples.x, np.memmap)
    assert isinstance(split_off(examples, 0.5)[0].x, np.memmap)
    assert_same(examples.rows(np.arange(N)).x, keras_batch(X))
    assert examples.nbytes == 4 * (2 * N + N)  # float64 in the file, float32 in memory


def test_labels_may_be_partial_where_only_some_outputs_have_a_loss():
    only = {"price": ONE}
    assert_same(read_examples(two_heads(loss={"price": "mse"}), X, only).y, only)
    assert read_examples(two_heads(loss={"price": "mse"}), X, only | {"kind": None}).y["kind"] is None


def test_validation_data_is_read_as_the_rest():
    validation = unpack_validation(two_heads(), [X, LABELS, np.arange(N)])
    assert_same((validation.x, validation.y, validation.sample_weight), keras_batch(X, LABELS, np.arange(N)))
    with pytest.raises(
        errors.LengthMismatch, match=r"x of validation_data has 6 .*y\['price'\] of validation_data has 5"
    ):
        unpack_validation(two_heads(), (X, {"price": ONE[:5], "kind": LABELS["kind"]}))
    with pytest.raises(errors.BadArgument, match="4 parts"):
        unpack_validation(two_heads(), (X, LABELS, None, None))


class Stepper(keras.Model):
    def __init__(self):
        super().__init__()
        self.compile("sgd")

    def train_step(self, data):
        return {}
