import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from jointdec import errors
from jointdec.training.inputs import read_examples

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


def refuses(error, sentence, model, *data):
    with pytest.raises(getattr(errors, error), match=sentence) as caught:
        read_examples(model, *data)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, errors.UserError)


def test_what_is_no_compiled_model_is_refused():
    refuses("NotCompiled", r"model\.compile", keras.Sequential([keras.layers.Dense(1)]), X, ONE)
    refuses("BadArgument", "a str", "model", X, ONE)


def test_lengths_that_differ_are_refused_with_the_names():
    refuses("LengthMismatch", r"x has 6 rows, but y\['kind'\] has 5", two_heads(), X, LABELS | {"kind": np.zeros(5)})
    refuses("LengthMismatch", "x has 6 rows, but sample_weight has 4", one_head(), X, ONE, np.ones(4))
    refuses("BadArgument", "no rows", one_head(), X[:0], ONE[:0])


@pytest.mark.parametrize("kind", ["dict", "list"])
def test_a_name_that_is_no_output_is_refused_with_the_names_that_are(kind):
    wrong = {"prize": ONE, "kind": LABELS["kind"]}
    refuses("UnknownOutput", r"'prize'.*did you mean 'price'.*valid: 'price', 'kind'", two_heads(kind), X, wrong)
    refuses("UnknownOutput", "nothing for 'kind'", two_heads(kind), X, {"price": ONE})


def test_sample_weights_must_lie_as_the_labels():
    one = np.ones(N)
    refuses("UnknownOutput", "did you mean 'price'", two_heads(), X, LABELS, {"prise": one, "kind": one})
    refuses("UnknownOutput", "nothing for 'kind'", two_heads(), X, LABELS, {"price": one})
    refuses("UnknownOutput", "lies as", two_heads(), X, LABELS, [one, one])
    refuses("BadArgument", r"needs \(n,\)", two_heads(), X, LABELS, np.ones((N, 2)))
    refuses("BadArgument", "finds no sample weights", two_heads(), X, list(LABELS.values())[::-1], one)
    refuses("BadArgument", "finds no sample weights", two_heads("list"), X, LABELS, one)
    refuses("BadArgument", "returns one array", one_head(), X, ONE, {"price": one})


def test_labels_that_keras_cannot_match_are_refused():
    refuses("BadArgument", "one output", one_head(), X, {"price": ONE})
    refuses("BadArgument", "y is None", one_head(), X)
    refuses("BadArgument", "no labels for the output 'kind'", two_heads(), X, {"price": ONE, "kind": None})


def test_names_of_inputs_are_checked_where_keras_would_mix_them_up():
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    from_dict = keras.Model({"a": a, "b": b}, keras.layers.Subtract()([a, b]))
    from_list = keras.Model([a, b], keras.layers.Subtract()([a, b]))
    with pytest.warns(UserWarning, match="structure"):  # Keras gives the input a what is called _, and goes on
        mixed = from_dict.predict({"_": X, "a": 2 * X, "b": X}, verbose=0)
    np.testing.assert_allclose(mixed, X - 2 * X, rtol=1e-6)
    for model in (from_dict, from_list):
        model.compile("sgd", "mse")
        refuses("UnknownOutput", "nothing for 'b'", model, {"a": X}, X)
    refuses("UnknownOutput", "'_', which is no input", from_dict, {"_": X, "a": X, "b": X}, X)
    assert read_examples(from_list, {"_": X, "a": X, "b": X}, X).size == N


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_with_their_row(bad):
    hole = np.where(np.arange(N) == 4, bad, 1.0)
    refuses("NotFiniteInput", f"x holds {bad} in row 4", one_head(), hole[:, None] * np.ones(2), ONE)
    refuses("NotFiniteInput", rf"y\['price'\] holds {bad} in row 4", two_heads(), X, LABELS | {"price": hole})
    refuses("NotFiniteInput", f"sample_weight holds {bad} in row 4", one_head(), X, ONE, hole)


def test_a_number_too_large_for_floatx_is_shown_as_given():
    refuses("NotFiniteInput", r"holds 1e\+300 in row 0, which float32 cannot hold", one_head(), X, np.full(N, 1e300))


def test_a_nan_label_poisons_keras_own_loss_also_with_weight_0_and_is_refused():
    y, weights = np.where(np.arange(N) == 4, np.nan, 1.0), np.where(np.arange(N) == 4, 0.0, 1.0)
    assert np.isnan(one_head().evaluate(X, y, sample_weight=weights, verbose=0))
    refuses("NotFiniteInput", "0 x nan is nan", one_head(), X, y, weights)


def test_a_nan_label_is_let_through_to_a_loss_that_takes_it():
    def masked(y, p):
        known = keras.ops.isfinite(y)
        return keras.ops.mean(keras.ops.where(known, keras.ops.square(keras.ops.where(known, y, 0) - p), 0), -1)

    y = np.where(np.arange(N) == 4, np.nan, 1.0)
    assert np.isfinite(one_head(masked).evaluate(X, y, verbose=0))
    assert read_examples(one_head(masked), X, y).size == N
    assert read_examples(Stepper(), X, y).size == N


def masking_255(y, p):
    return keras.losses.sparse_categorical_crossentropy(y, p, ignore_class=255)


SPARSE = {
    "name": "sparse_categorical_crossentropy",
    "object": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "function": keras.losses.sparse_categorical_crossentropy,
    "list": [keras.losses.SparseCategoricalCrossentropy()],
}


@pytest.mark.parametrize("loss", SPARSE.values(), ids=SPARSE)
@pytest.mark.parametrize("label", [3, -1, 1.5])
def test_labels_that_are_no_classes_are_refused_with_row_and_value(loss, label):
    y = np.where(np.arange(N) == 4, label, 1)
    for shaped in (y, y[:, None]):
        refuses(
            "LabelOutsideClasses", rf"y holds {label} in row 4.*has 3 classes.*0 to 2", one_head(loss, 3), X, shaped
        )


@pytest.mark.parametrize("loss", [LOSSES, list(LOSSES.values())[::-1], {"kind": SPARSE["object"]}])
def test_labels_are_checked_for_the_output_that_has_the_sparse_loss(loss):
    labels = LABELS | {"kind": np.arange(N)}
    refuses("LabelOutsideClasses", r"y\['kind'\] holds 3 in row 3, but 'kind' has", two_heads(loss=loss), X, labels)
    assert read_examples(two_heads(loss=loss), X, LABELS).size == N


def test_a_class_that_the_loss_ignores_is_let_through():
    y = np.where(np.arange(N) == 4, 255, 1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    assert np.isfinite(one_head(loss, 3).evaluate(X, y, verbose=0))
    assert read_examples(one_head(loss, 3), X, y).size == N
    assert read_examples(one_head(masking_255, 3), X, y).size == N  # whose classes nobody knows


NO_NUMBERS = {
    "text": np.array(["a"] * N), "objects": np.array([None] * N), "bytes": np.array([b"a"] * N),
    "dates": np.zeros(N, "M8[s]"),
    "complex": np.zeros(N, complex), "long": np.zeros(N, np.longdouble), "records": np.zeros(N, [("a", "f4")]),
    "nullable": pd.Series([1, None] * 3, dtype="Int64"), "categories": pd.Series(list("abcabc"), dtype="category"),
    "mixed": pd.DataFrame({"a": [1] * N, "b": [True] * N}), "text tensor": tf.constant(["a"] * N),
    "number": np.float32(1),
    "list": [1, 2, 3], "string": "a", "sparse": tf.sparse.from_dense(np.eye(N)), "data set": tf.data.Dataset.range(N),
    "generator": (i for i in range(N)), "ragged": tf.ragged.constant([[1], [2, 3]]),
}  # fmt: skip


@pytest.mark.parametrize("given", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_array_of_numbers_is_refused(given):
    refuses("BadArgument", "y", one_head(), X, given)


def test_class_weights_that_keras_refuses_or_overlooks_are_refused():
    refuses("BadArgument", "multiply", one_head(), X, ONE, np.ones(N), {0: 1.0})
    refuses("BadArgument", "one output", two_heads(), X, LABELS, None, {0: 1.0})
    refuses("BadArgument", "one output", Stepper(), X, None, None, {0: 1.0})
    refuses("BadArgument", "dict from class numbers", one_head(), X, ONE, None, {"0": 1.0})  # Keras weighs nothing
    refuses("BadArgument", "dict from class numbers", one_head(), X, ONE, None, [1.0])
    refuses("BadArgument", "one class", Stepper(), X, np.zeros((N, 2, 3)), None, {0: 1.0})
    refuses("BadArgument", "sample_weight, but no y", Stepper(), X, None, np.ones(N))


def test_an_optimizer_of_another_model_is_refused_and_a_used_one_of_this_is_not():
    optimizer = keras.optimizers.Adam()
    first, second = one_head(), one_head()
    for model in (first, second):
        model.compile(optimizer, "mse")
    first.fit(X, ONE, verbose=0)
    with pytest.raises(ValueError, match="Unknown variable"):
        second.fit(X, ONE, verbose=0)
    refuses("OptimizerInUse", "compile the model with a new one", second, X, ONE)
    assert read_examples(first, X, ONE).size == N
    first.layers[0].trainable = False
    first.compile(optimizer, "mse")
    assert read_examples(first, X, ONE).size == N


def test_a_model_with_a_step_of_its_own_decides_about_its_labels():
    assert read_examples(Stepper(), {"any": X}, {"names": np.full(N, 99)}).size == N


def test_a_bad_number_is_found_in_any_slice(tmp_path, monkeypatch):
    monkeypatch.setattr("jointdec.training.arrays.SLICE_BYTES", 40)  # two rows
    bad = np.where(np.arange(2 * N).reshape(N, 2) == 9, np.nan, X)
    np.save(tmp_path / "x.npy", bad)
    refuses(
        "NotFiniteInput",
        r"x holds nan in row 4 \(index \[1\]",
        one_head(),
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        ONE,
    )


def test_a_model_that_is_not_built_is_built_as_by_fit():
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    refuses("LabelOutsideClasses", "3 classes", model, X, np.arange(N))
    assert model.built


class Stepper(keras.Model):
    def __init__(self):
        super().__init__()
        self.compile("sgd")

    def train_step(self, data):
        return {}
