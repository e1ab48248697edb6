"""The loop of any compiled Keras model: its own steps bit for bit, whoever wrote its train_step, whatever happens."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from jointdec.errors import UserError
from jointdec.training import compiled, feed
from jointdec.training.compiled import CompiledLoop
from jointdec.training.feed import Resident, Streamed
from jointdec.training.held_out import HeldOut
from jointdec.training.loop import Policy
from jointdec.training.state import State, read_arrays
from jointdec.training.step import KerasStep

SIZE, BATCH = 23, 4
STEPS = 6
every_jit = pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.slow)])


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(SIZE, 3)).astype(np.float32), rng.normal(size=(SIZE, 1)).astype(np.float32)


def order(epoch):
    return np.random.default_rng(epoch).permutation(SIZE)


def noisy():
    """BatchNorm and Dropout: a step changes more than weights."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(5, activation="tanh", name="one"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.5, seed=1, name="drop"),
            layers.Dense(1, name="two"),
        ],
        name="noisy",
    )
    model.compile(keras.optimizers.Adam(0.01, name="adam"), "mse", metrics=["mae"])
    return model


class Own(keras.Model):
    """A train_step of the user's own, on one optimizer, which logs more than a loss."""

    def __init__(self):
        super().__init__(name="own")
        self.dense = layers.Dense(1, name="dense")
        self.seen = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.seen]

    def call(self, x):
        return self.dense(x)

    def train_step(self, batch):
        x, y = batch
        with tf.GradientTape() as tape:
            errors = tf.square(self(x) - y)
            loss = tf.reduce_mean(errors)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.seen.update_state(loss, sample_weight=tf.shape(x)[0])
        return {"loss": self.seen.result(), "largest": tf.reduce_max(errors)}


class Decorated(Own):
    """The same, which the user made a tf.function of."""

    train_step = tf.function(Own.train_step)


class Gan(keras.Model):
    """Two networks, an optimizer each, noise from Keras's global generator."""

    def __init__(self):
        super().__init__(name="gan")
        self.maker = keras.Sequential([keras.Input((2,)), layers.Dense(3, name="make")], name="maker")
        self.judge = keras.Sequential([keras.Input((3,)), layers.Dense(1, name="judge")], name="judge")

    def compile(self, of_judge, **options):
        super().compile(**options)
        self.of_judge = of_judge

    def call(self, x):
        return self.judge(x)

    def train_step(self, batch):
        x, y = batch
        noise = keras.random.normal((tf.shape(x)[0], 2))
        entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        with tf.GradientTape() as tape:
            of_judge = entropy(tf.ones_like(y), self.judge(x)) + entropy(
                tf.zeros_like(y), self.judge(self.maker(noise))
            )
        variables = self.judge.trainable_variables
        self.of_judge.apply_gradients(zip(tape.gradient(of_judge, variables), variables, strict=True))
        with tf.GradientTape() as tape:
            of_maker = entropy(tf.ones_like(y), self.judge(self.maker(noise)))
        variables = self.maker.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(of_maker, variables), variables, strict=True))
        return {"loss": of_judge + of_maker, "judge": of_judge, "maker": of_maker}


def own(model_class=Own):
    model = model_class()
    model(np.zeros((1, 3), np.float32))
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9, name="sgd"))
    return model


def gan():
    model = Gan()
    model(np.zeros((1, 3), np.float32))
    model.compile(optimizer=keras.optimizers.Adam(name="adam"), of_judge=keras.optimizers.RMSprop(name="rms"))
    return model


MODELS = {"noisy": noisy, "own": own, "decorated": lambda: own(Decorated), "gan": gan}
# the fast tests take the first; what the others have besides is theirs
every_model = pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name, marks=[pytest.mark.slow] if number else [])
        for number, (name, make) in enumerate(MODELS.items())
    ],
)


def make_loop(make=noisy, *, on_divergence="stop", norms=1, jit=False, batch=None, memory=None, steps=0):
    keras.backend.clear_session()  # names begin anew, as in a new process
    keras.utils.set_random_seed(2)
    x, y = data() if batch is None else batch
    made = Resident((x, y), order, BATCH) if memory is None else Streamed((x, y), order, BATCH, memory)
    policy = Policy(on_divergence, 10, norms)
    return CompiledLoop(KerasStep(make()), made, policy, jit=jit, evaluate=lambda held_out: held_out(), steps=steps)


def model_of(loop):
    return loop._step.model


def assert_same(one, other):
    assert set(one.values) == set(other.values)
    for path in one.values:
        np.testing.assert_array_equal(one[path], other[path], err_msg=path)


def assert_same_steps(one, other):
    for mine, their in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, their)


@every_model
def test_two_epochs_are_those_of_keras_s_own_fit(make):
    loop = make_loop(make)
    results = [loop.run_epoch(epoch) for epoch in (0, 1)]
    keras.backend.clear_session()
    keras.utils.set_random_seed(2)
    theirs, (x, y) = make(), data()
    for epoch, result in enumerate(results):
        rows = order(epoch)
        history = theirs.fit(x[rows], y[rows], batch_size=BATCH, shuffle=False, verbose=0).history
        if make is not gan:  # which logs a batch's own loss: of that Keras keeps the last one
            assert result.train["loss"] == pytest.approx(history["loss"][0], rel=1e-5)
        else:
            assert result.steps["loss"][-1] == pytest.approx(history["loss"][0], rel=1e-4)
    for mine, their in zip(model_of(loop).weights, theirs.weights, strict=True):
        np.testing.assert_allclose(np.array(mine), np.array(their), rtol=1e-4, atol=1e-6, err_msg=mine.path)


@pytest.mark.slow
def test_the_columns_are_the_losses_that_a_step_logs_and_no_running_metrics():
    assert make_loop(noisy).columns == ("loss",)
    assert make_loop(own).columns == ("loss", "largest")
    assert make_loop(gan).columns == ("loss", "judge", "maker")


def test_a_loss_that_keras_logs_as_a_running_mean_is_each_step_s_own_and_the_mean_goes_on():
    loop = make_loop(own)
    result, (x, y) = loop.run_epoch(0), data()
    other = make_loop(own)
    for step in range(STEPS):
        rows = order(0)[step * BATCH : (step + 1) * BATCH]
        errors = np.square(np.array(model_of(other)(x[rows])) - y[rows])
        assert result.steps["loss"][step] == pytest.approx(errors.mean(), rel=1e-5)
        assert result.steps["largest"][step] == pytest.approx(errors.max(), rel=1e-5)
        other.run_steps(0, step, step + 1, 1)
    kept = loop.state()
    assert kept["loss/total"] / kept["loss/count"] == pytest.approx(result.train["loss"], rel=1e-6)


@every_model
@every_jit
def test_a_state_and_the_number_of_a_step_go_on_bit_for_bit_in_the_middle_of_an_epoch(make, jit, tmp_path):
    loop = make_loop(make, jit=jit)
    loop.run_epoch(0)
    loop.begin_epoch()
    loop.run_steps(1, 0, 3, 1)
    loop.state().save(tmp_path / "state.npz")
    then = loop.run_steps(1, 3, STEPS, 1), loop.state()
    assert len(then[0].rows) == STEPS - 3
    other = make_loop(make, jit=jit)
    other.restore(State.from_arrays(read_arrays(tmp_path / "state.npz")))
    assert_same_steps(other.run_steps(1, 3, STEPS, 1), then[0])
    assert_same(other.state(), then[1])


@every_model
@every_jit
def test_the_same_training_twice_gives_the_same_bits(make, jit):
    taken = []
    for _ in range(2):  # one after the other: Keras's global generator is of one training
        loop = make_loop(make, jit=jit)
        taken.append(([loop.run_epoch(epoch) for epoch in (0, 1)], loop.state()))
    (one, state), (other, again) = taken
    for mine, their in zip(one, other, strict=True):
        for name, values in (mine.steps | mine.norms).items():
            np.testing.assert_array_equal(values, (their.steps | their.norms)[name])
    assert_same(state, again)


@every_jit
@pytest.mark.parametrize(
    "memory", [1, pytest.param(None, marks=pytest.mark.slow), pytest.param(500, marks=pytest.mark.slow)]
)
def test_chunks_however_small_and_streams_give_the_same_bits_as_one_chunk(monkeypatch, jit, memory):
    whole = make_loop(jit=jit, norms=2)
    expected = [whole.run_epoch(epoch) for epoch in (0, 1)]
    monkeypatch.setattr(feed, "CHUNK", 2)
    loop = make_loop(jit=jit, memory=memory, norms=2)
    assert loop.capacity <= 2
    for epoch in (0, 1):
        result = loop.run_epoch(epoch)
        np.testing.assert_array_equal(result.norm_steps, expected[epoch].norm_steps)
        for name, values in (result.steps | result.norms).items():
            np.testing.assert_array_equal(values, (expected[epoch].steps | expected[epoch].norms)[name])
    assert_same(loop.state(), whole.state())


@pytest.mark.parametrize("size", [1, BATCH - 1, BATCH, 2 * BATCH])
def test_any_number_of_examples_trains_each_once_an_epoch(size):
    keras.utils.set_random_seed(2)
    x, y = data()
    made = Resident((x[:size], y[:size]), lambda epoch: np.arange(size), BATCH)
    loop = CompiledLoop(KerasStep(own()), made, Policy(norms=1), jit=False, evaluate=lambda _: {})
    keras.utils.set_random_seed(2)
    theirs = own()
    history = theirs.fit(x[:size], y[:size], batch_size=BATCH, shuffle=False, verbose=0).history
    result = loop.run_epoch(0)
    assert len(result.steps["loss"]) == -(-size // BATCH)
    assert result.train["loss"] == pytest.approx(history["loss"][0], rel=1e-5)
    np.testing.assert_allclose(np.array(model_of(loop).dense.kernel), np.array(theirs.dense.kernel), rtol=1e-5)


def test_norms_are_those_of_the_gradients_in_float64():
    def make():
        model = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="tanh", name="one")], name="two_layers")
        model.add(layers.Dense(1, name="two"))
        model.compile(keras.optimizers.SGD(0.1, name="sgd"), "mse")
        return model

    loop, (x, y) = make_loop(make), data()
    for step in range(STEPS):
        rows = order(0)[step * BATCH : (step + 1) * BATCH]
        weights = {
            path.removeprefix("two_layers/"): np.asarray(value, np.float64)
            for path, value in loop.state().values.items()
            if path.startswith("two_layers/")
        }
        hidden = np.tanh(x[rows] @ weights["one/kernel"] + weights["one/bias"])
        wrong = 2 * (hidden @ weights["two/kernel"] + weights["two/bias"] - y[rows]) / len(rows)
        inner = (wrong @ weights["two/kernel"].T) * (1 - hidden**2)
        norms = {
            "one": np.sqrt(np.square(x[rows].T @ inner).sum() + np.square(inner.sum(0)).sum()),
            "two": np.sqrt(np.square(hidden.T @ wrong).sum() + np.square(wrong.sum(0)).sum()),
        }
        expected = [np.hypot(norms["one"], norms["two"]), *(norms[layer.rpartition("/")[2]] for layer in loop.layers)]
        np.testing.assert_allclose(loop.run_steps(0, step, step + 1, 1).norms[0], expected, rtol=1e-5)


def test_two_optimizers_norms_are_of_both_networks_layers():
    loop = make_loop(gan)
    assert loop.layers == ("judge/judge", "maker/make")
    norms = loop.run_epoch(0).norms
    assert all((values > 0).all() for values in norms.values())
    np.testing.assert_allclose(norms["grad_norm"], np.hypot(norms["judge/judge"], norms["maker/make"]), rtol=1e-6)


def test_gradients_of_an_embedding_count_each_row_once_whatever_comes_twice():
    def make():
        model = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(5, 2, name="rows")], name="emb")
        model.add(layers.Flatten())
        model.add(layers.Dense(1, name="out", use_bias=False))
        model.compile(keras.optimizers.SGD(0.0, name="sgd"), "mse")
        return model

    x, y = np.random.default_rng(0).integers(0, 5, (SIZE, 3)).astype(np.int32), data()[1]
    loop = make_loop(make, batch=(x, y))
    model, rows = model_of(loop), order(0)[:BATCH]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x[rows]) - y[rows]))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    expected = [np.linalg.norm(np.asarray(tf.convert_to_tensor(gradient), np.float64)) for gradient in gradients]
    norms = loop.run_steps(0, 0, 1, 1).norms[0]
    np.testing.assert_allclose(norms, [np.linalg.norm(expected), *expected], rtol=1e-5)


def poisoned(*steps):
    """An example of each of these steps of the first epoch is not finite."""
    x, y = data()
    for step in steps:
        x[order(0)[step * BATCH + 1], 0] = np.nan
    return x, y


def reached(make, *parts):
    """The state of a loop that takes only these steps of the first epoch."""
    loop = make_loop(make)
    loop.begin_epoch()
    rows = [loop.run_steps(0, first, stop, 1).rows for first, stop in parts]
    return np.concatenate(rows), loop.state()


@every_model
def test_an_epoch_stops_at_its_first_bad_step_with_the_state_that_it_started_from(make):
    loop = make_loop(make, batch=poisoned(2, 4))
    result, (rows, truth) = loop.run_epoch(0), reached(make, (0, 2))
    assert result.diverged_at == 2
    np.testing.assert_array_equal(result.steps["loss"][:2], rows[:, 0])
    assert np.isnan(result.steps["loss"][2])
    assert_same(loop.state(), truth)
    assert_same(loop.bad_state, truth)
    assert loop.retaken_alike


@every_model
def test_skip_leaves_no_trace_of_the_bad_batches(make):
    loop = make_loop(make, batch=poisoned(0, 3), on_divergence="skip")
    result, (_, truth) = loop.run_epoch(0), reached(make, (1, 3), (4, STEPS))
    assert (result.diverged_at, result.skipped) == (None, (0, 3))
    assert np.isnan(result.steps["loss"]).tolist() == [True, False, False, True, False, False]
    assert np.isfinite(result.train["loss"])
    assert_same(loop.state(), truth)


@every_model
def test_continue_trains_on_and_keeps_what_the_first_bad_step_started_from(make):
    loop = make_loop(make, batch=poisoned(1), on_divergence="continue")
    result = loop.run_epoch(0)
    assert (result.diverged_at, len(result.steps["loss"])) == (1, STEPS)
    assert np.isnan(result.steps["loss"][1:]).all()
    assert_same(loop.bad_state, reached(make, (0, 1))[1])
    assert loop.run_epoch(1).diverged_at == STEPS  # and its state is not kept again
    assert_same(loop.bad_state, reached(make, (0, 1))[1])


@pytest.mark.parametrize("policy", ["stop", "skip", "continue"])
def test_an_update_that_is_not_finite_by_itself_ends_the_steps_though_no_loss_shows_it(policy):
    loop = make_loop(on_divergence=policy)
    loop.run_steps(0, 0, 2, 1)
    start = loop.state()
    velocity = np.array(start["adam/noisy_two_bias_velocity"])
    velocity[0] = np.nan
    start = State({**start.values, "adam/noisy_two_bias_velocity": velocity})
    loop.restore(start)
    taken = loop.run_guarded(0, 2, STEPS) if policy != "continue" else loop._run_unguarded(0)
    assert taken.bad == (2 if policy != "continue" else 0)
    assert_same(loop.bad_state, start)
    if policy != "continue":
        assert np.isfinite(taken.steps.rows).all()
        assert_same(loop.state(), start)


def test_a_weight_that_is_infinite_on_purpose_is_no_divergence():
    def masked():
        model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="one"), Masked()], name="masked")
        model.compile(keras.optimizers.SGD(0.1, name="sgd"), "mse")
        return model

    for policy in ("stop", "skip", "continue"):
        result = make_loop(masked, on_divergence=policy).run_epoch(0)
        assert (result.diverged_at, result.skipped) == (None, ())
    assert make_loop(masked, batch=poisoned(2)).run_epoch(0).diverged_at == 2


class Masked(keras.layers.Layer):
    """The first score counts for nothing: -inf is added to it before a softmax."""

    def build(self, shape):
        self.mask = self.add_weight(shape=(2,), trainable=False, name="mask")
        self.mask.assign([-np.inf, 0])

    def call(self, scores):
        return ops.softmax(scores + self.mask)[:, 1:]


class Root(keras.layers.Layer):
    """sqrt(x^2), whose gradient at 0 is 0/0 while its value is 0."""

    def call(self, x):
        return ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True))


def rooted():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, use_bias=False, name="one"), Root()], name="rooted")
    model.compile(keras.optimizers.SGD(0.1, name="sgd"), "mse")
    return model


def test_a_gradient_that_is_not_finite_under_a_finite_loss_is_its_batch_s_fault_and_can_be_skipped():
    x, y = data()
    x[order(0)[2 * BATCH + 3]] = 0
    for policy, bad, skipped in (("stop", 2, ()), ("skip", None, (2,)), ("continue", 2, ())):
        loop = make_loop(rooted, batch=(x, y), on_divergence=policy, norms=5)
        result = loop.run_epoch(0)
        assert (result.diverged_at, result.skipped) == (bad, skipped)
        assert np.isfinite(result.steps["loss"][:3]).all()
        at = result.norm_steps.tolist()
        if policy != "continue":
            assert at == [0, 2, 5][: 2 if bad else 3]
            assert np.isnan(result.norms["grad_norm"]).tolist() == [step == 2 for step in at]


def seconds_said(plain, trials):
    """In place of `CompiledLoop._time`: it trains, and says what it is told to."""
    timed = CompiledLoop._time

    def time_and_say(loop, program, chunk, steps):
        timed(loop, program, chunk, 1)
        return plain if program in loop._programs.values() else next(trials)

    return time_and_say


@pytest.mark.slow
def test_xla_is_taken_where_it_is_faster_and_leaves_everything_as_it_was(monkeypatch):
    before = make_loop().state()
    noisy_times = [9.0, 0.5, 9.0, 9.0, 9.0]  # in one trial the machine was busy with nothing else
    for plain, xla, jit in (
        (4.0, [0.5] * 5, True),
        (4.0, noisy_times, True),
        (1.0, [2.0] * 5, False),
        (1e-9, [], False),
    ):
        trials = iter(xla)
        with monkeypatch.context() as patch:
            patch.setattr(CompiledLoop, "_time", seconds_said(plain, trials))
            loop = make_loop(jit="auto", steps=100)
        assert loop.jit is jit
        assert_same(loop.state(), before)
        assert loop.compile_seconds > 0
        assert next(trials, None) is None
        if jit:
            assert_same_steps(loop.run_steps(0, 0, STEPS, 1), make_loop(jit=True).run_steps(0, 0, STEPS, 1))


@pytest.mark.slow
def test_a_program_that_takes_far_longer_is_tried_once(monkeypatch):
    trials = []

    def time_and_say(loop, program, chunk, steps):
        plain = program in loop._programs.values()
        trials.append(plain)
        return 1.0 if plain else 50.0

    monkeypatch.setattr(CompiledLoop, "_time", time_and_say)
    assert make_loop(jit="auto", steps=100).jit is False
    assert trials.count(False) == 1


@pytest.mark.slow
def test_where_linux_allows_no_more_memory_maps_xla_is_not_asked_and_the_user_is_told(monkeypatch):
    monkeypatch.setattr("jointdec.training.program.SHARE_OF_MAPS", 0.0)
    with pytest.raises(UserError, match=r"no memory maps left for another one: start a new process, or use jit=False"):
        make_loop(jit=True)
    with pytest.warns(UserWarning, match="this training goes without"):
        assert make_loop(jit="auto", steps=10**9).jit is False
    assert make_loop(jit="auto", steps=1).jit is False  # what is not worth a trial is not told


class NoXla(keras.layers.Layer):
    """What XLA has no kernel for."""

    def call(self, x):
        return x + 0 * tf.cast(tf.strings.length(tf.strings.as_string(x)), x.dtype)


def stringly():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, name="one"), NoXla()], name="stringly")
    model.compile(keras.optimizers.SGD(name="sgd"), "mse")
    return model


@pytest.mark.slow
def test_a_step_that_xla_cannot_compile_is_told_or_runs_without_it():
    with pytest.raises(UserError, match=r"XLA cannot compile this step .*jit=False or jit='auto'"):
        make_loop(stringly, jit=True)
    loop = make_loop(stringly, jit="auto", steps=10**9)
    assert loop.jit is False
    assert np.isfinite(loop.run_epoch(0).train["loss"])


class Wrong(keras.layers.Layer):
    """What no compiler can make good, though its shapes do not tell."""

    def call(self, x):
        return tf.reshape(x, tf.where(tf.reduce_sum(x) > -np.inf, [7, 1], [4, 1]))


def wrong():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, name="one"), Wrong()], name="wrong")
    model.compile(keras.optimizers.SGD(name="sgd"), "mse")
    return model


def test_a_step_that_is_wrong_in_itself_says_so_and_xla_is_not_blamed():
    with pytest.raises(tf.errors.InvalidArgumentError, match="Input to reshape is a tensor with 4 values"):
        make_loop(wrong, jit=True)


@pytest.mark.slow
def test_the_first_bad_loss_is_found_in_the_incomplete_last_batch():
    x, y = poisoned()
    x[order(0)[-1]] = np.inf
    loop = make_loop(batch=(x, y))
    assert loop.run_epoch(0).diverged_at == STEPS - 1
    assert_same(loop.state(), reached(noisy, (0, STEPS - 1))[1])


@pytest.mark.slow
def test_validation_after_an_epoch_is_the_held_out_examples_and_changes_no_training():
    def with_validation(val):
        keras.backend.clear_session()
        keras.utils.set_random_seed(2)
        model, (x, y) = noisy(), data()
        held_out = HeldOut(model, Resident((x[:7], y[:7]), lambda epoch: np.arange(7), BATCH))
        made = Resident((x, y), order, BATCH)
        policy = Policy(norms=1)
        return CompiledLoop(
            KerasStep(model),
            made,
            policy,
            jit=False,
            evaluate=lambda each: each(jit=False),
            val=held_out if val else None,
        )

    one, other = with_validation(True), with_validation(False)
    for epoch in (0, 1):
        result, alone = one.run_epoch(epoch), other.run_epoch(epoch)
        x, y = data()
        expected = model_of(one).evaluate(x[:7], y[:7], batch_size=BATCH, verbose=0, return_dict=True)
        assert result.val == pytest.approx(expected, rel=1e-5)
        assert alone.val == {}
        np.testing.assert_array_equal(result.steps["loss"], alone.steps["loss"])


def test_nothing_is_compiled_twice(monkeypatch):
    loop = make_loop()
    loop.run_epoch(0)
    made = []
    monkeypatch.setattr(compiled, "Program", lambda *arguments: made.append(arguments))
    loop.run_epoch(1)
    assert not made
    for program in loop._programs.values():
        assert program._run.experimental_get_tracing_count() == 1
