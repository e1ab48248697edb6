"""What a step starts from: every variable by a path that another process gives it, too; and its file."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointdec.errors import UserError
from jointdec.training.state import State, by_path, read_arrays
from jointdec.training.step import KerasStep

SCRIPT = """
import keras, numpy as np, tensorflow as tf
from jointdec.training.step import KerasStep

class Pair(keras.Model):
    '''Two layers, an optimizer each, and noise from Keras's global generator.'''

    def __init__(self):
        super().__init__(name="pair")
        self.one, self.two = keras.layers.Dense(3, name="one"), keras.layers.Dense(1, name="two")
        self.counted = tf.Variable(0, name="counted")

    def compile(self, second, **options):
        super().compile(**options)
        self.second = second

    def call(self, x, training=False):
        return self.two(self.one(x + keras.random.normal((2,)) if training else x))

    def train_step(self, batch):
        x, y = batch
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean(tf.square(self(x, training=True) - y))
        self.optimizer.apply(tape.gradient(loss, self.one.trainable_variables), self.one.trainable_variables)
        self.second.apply(tape.gradient(loss, self.two.trainable_variables), self.two.trainable_variables)
        self.counted.assign_add(1)
        return {"loss": loss}

def make_step():
    keras.utils.set_random_seed(0)
    model = Pair()
    model(tf.zeros((1, 2)))
    model.compile(optimizer=keras.optimizers.Adam(name="adam"), second=keras.optimizers.SGD(momentum=0.9, name="sgd"))
    step = KerasStep(model)
    step.trace((tf.TensorSpec((4, 2)), tf.TensorSpec((4, 1))))
    return step

paths = list(make_step().variables())
"""


@pytest.fixture(scope="module")
def pair():
    names = {}
    exec(SCRIPT, names)
    return names


def test_everything_that_a_step_of_the_user_s_own_touches_is_in_the_state_once(pair):
    step = pair["make_step"]()
    variables = step.variables()
    assert len({id(variable) for variable in variables.values()}) == len(variables)
    paths = " ".join(variables)
    for part in ("one/kernel", "two/bias", "adam/", "sgd/", "counted", "global_seed_generator"):
        assert part in paths, part
    momenta = [path for path in variables if "momentum" in path and path.startswith("sgd/")]
    assert len(momenta) == 2


def test_what_lasts_is_weights_and_what_both_optimizers_remember(pair):
    step = pair["make_step"]()
    lasting = {id(variable) for variable in step.lasting()}
    paths = {path for path, variable in step.variables().items() if id(variable) in lasting}
    assert {path.partition("/")[0] for path in paths} == {"pair", "adam", "sgd"}


@pytest.mark.slow
def test_paths_are_the_same_in_another_process():
    script = "import sys; sys.path.insert(0, sys.argv[1])\n" + SCRIPT + "print(*paths)"
    root = str(Path(__file__).parents[2])
    runs = [
        subprocess.run([sys.executable, "-c", before + script, root], capture_output=True, text=True, check=True)
        for before in ("", "import keras; keras.layers.Dense(2).build((None, 3)); keras.random.normal((2,))\n")
    ]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout.split()) > 10


@given(st.lists(st.sampled_from(["a", "b", "a#2", "a#3"]), max_size=12))
def test_equal_paths_are_told_apart_and_the_same_variable_is_named_once(names):
    variables = [object() for _ in names]
    found = by_path([*zip(names, variables, strict=True), *zip(names, variables, strict=True)])
    assert sorted(map(id, found.values())) == sorted(map(id, variables))
    assert all(path.startswith(("a", "b")) for path in found)
    assert list(found) == list(by_path(zip(names, variables, strict=True)))


def test_a_state_comes_back_from_its_file_with_the_same_bits_types_and_paths(tmp_path):
    rng = np.random.default_rng(0)
    values = {
        "a/kernel": rng.normal(size=(3, 2)).astype(np.float32),
        "b": np.array([np.nan, -np.inf, -0.0]),
        "seed_generator/state": np.array([2**32 - 1, 7], np.uint32),
        "adam/iteration": np.array(5, np.int64),
        "mask": np.array([True, False]),
    }
    State(values).save(tmp_path / "state.npz", batch=np.arange(3))
    arrays = read_arrays(tmp_path / "state.npz")
    again = State.from_arrays(arrays)
    assert list(again.values) == list(values)
    assert arrays["batch"].tolist() == [0, 1, 2]
    for path, value in values.items():
        assert again[path].dtype == value.dtype
        assert again[path].tobytes() == value.tobytes()


def test_half_precision_variables_come_back_from_a_file(tmp_path):
    layer = keras.layers.Dense(2, dtype="bfloat16", name="half")
    layer.build((None, 3))
    values = {variable.path: variable.value for variable in layer.variables}
    State(values).save(tmp_path / "state.npz")
    again = State.from_arrays(read_arrays(tmp_path / "state.npz"))
    for path, value in values.items():
        np.testing.assert_array_equal(again[path].astype(np.float32), np.asarray(value, np.float32))


def test_a_file_that_is_none_and_a_state_that_is_not_in_it_are_told(tmp_path):
    (tmp_path / "no.npz").write_text("nothing")
    with pytest.raises(UserError, match=r"no\.npz"):
        read_arrays(tmp_path / "no.npz")
    with pytest.raises(KeyError):
        State.from_arrays({"batch": np.arange(3)})


def test_an_optimizer_that_has_two_names_in_a_model_is_watched_once():
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="only")])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    norms = []
    for _ in range(2):
        step = KerasStep(model)
        take = step.trace((tf.TensorSpec((4, 2)), tf.TensorSpec((4, 1))))
        norms.append(take((tf.ones((4, 2)), tf.ones((4, 1))), tf.constant(True))[1].numpy())
        model.another_name = model.optimizer
    assert norms[0].all()
    np.testing.assert_array_equal(norms[0], norms[1])
