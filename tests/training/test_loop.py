"""The guard against divergence, of every loop. Truth: another loop of the same kind that never meets the bad step."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from jointdec.objective.formulation import make_formulation
from jointdec.training import make_training
from jointdec.training.order import batch_order
from jointdec.training.state import State, moment_path, read_arrays

LOOPS = [
    ("loss=tf_native", "training.jit=false"),
    ("loss=split", "training=fit", "training.jit=false"),
    ("loss=tf1_graph",),
]
XLA = ("loss=joint",)  # the first one's program, which takes seconds to compile
SLOW = [pytest.param(flags, marks=pytest.mark.slow) for flags in (LOOPS[1], XLA)]
SUMS = ("loss/", "compile_loss/", "nodes/value", "edges/value")  # of an epoch, to which its validation adds
SIZE, BATCH, EPOCH = 35, 10, 2
STEPS = 4
every_loop = pytest.mark.parametrize("flags", [LOOPS[0], LOOPS[2], *SLOW], ids=" ".join)


@pytest.fixture
def make_loop(make_config):
    def make(flags, dataset):
        config = make_config(*flags, "model.tower=[8]", f"training.batch_size={BATCH}", "training.norms=1")
        return make_training(config, make_formulation(config), dataset)

    return make


@pytest.fixture
def dataset(make_dataset):
    return make_dataset(SIZE)


@pytest.fixture(scope="module")
def truth_after(make_config, make_dataset):
    """``truth_after(flags, (0, 2), (3, 4))``: rows and state of a loop that takes only these steps of the epoch."""

    @functools.cache
    def loop(flags):
        config = make_config(*flags, "model.tower=[8]", f"training.batch_size={BATCH}", "training.norms=1")
        made = make_training(config, make_formulation(config), make_dataset(SIZE))
        return made, made.state()

    def after(flags, *parts):
        made, initial = loop(flags)
        made.restore(initial)
        rows = [made.run_steps(EPOCH, first, stop, 1).rows for first, stop in parts]
        return np.concatenate(rows), made.state()

    return after


def with_bad_molecules(dataset, *steps, bad=np.nan):
    """A feature of one molecule in each of these steps of the epoch is not finite."""
    features, order = dataset.train.x.copy(), batch_order(0, EPOCH, SIZE)
    for step in steps:
        features[order[step * BATCH + 3], 4] = bad
    return replace(dataset, train=replace(dataset.train, x=features))


def values_of(state):
    return {path: np.array(value) for path, value in state.values.items() if not path.startswith(SUMS)}


def assert_same(one, other):
    ours, theirs = values_of(one), values_of(other)
    assert set(ours) == set(theirs)
    for path, value in ours.items():
        np.testing.assert_array_equal(value, theirs[path], err_msg=path)


def is_finite(state):
    return all(np.isfinite(value).all() for value in values_of(state).values())


def with_moment(state, name, value):
    """One number of Adam's second moment replaced."""
    path = moment_path(name, "velocity")
    second = np.array(state[path])
    second.flat[0] = value
    return State({**state.values, path: second})


@every_loop
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_epoch_ends_at_its_first_bad_step_with_the_state_that_the_step_started_from(
    make_loop, dataset, truth_after, flags, bad
):
    loop = make_loop(flags, with_bad_molecules(dataset, 2, bad=bad))
    result = loop.run_epoch(EPOCH)
    rows, truth = truth_after(flags, (0, 2))
    assert result.diverged_at == EPOCH * STEPS + 2
    assert len(result.steps["loss"]) == 3
    np.testing.assert_array_equal(result.steps["loss"][:2], rows[:, 0])
    assert not np.isfinite(result.steps["loss"][2])
    assert_same(loop.state(), truth)
    assert_same(loop.bad_state, truth)
    assert np.isfinite(result.val["loss"])


@every_loop
@pytest.mark.parametrize("step", [0, STEPS - 1])
def test_the_first_and_the_last_step_of_an_epoch_can_be_the_bad_one(make_loop, dataset, truth_after, flags, step):
    loop = make_loop(flags, with_bad_molecules(dataset, step))
    assert loop.run_epoch(EPOCH).diverged_at == EPOCH * STEPS + step
    assert_same(loop.state(), truth_after(flags, (0, step))[1])


@every_loop
def test_skip_drops_the_bad_batches_counts_them_and_trains_on(make_loop, dataset, truth_after, flags):
    loop = make_loop([*flags, "training.on_divergence=skip"], with_bad_molecules(dataset, 0, 2))
    result = loop.run_epoch(EPOCH)
    assert result.diverged_at is None
    assert result.skipped == (EPOCH * STEPS, EPOCH * STEPS + 2)
    assert result.train["loss"] == pytest.approx((10 * result.steps["loss"][1] + 5 * result.steps["loss"][3]) / 15)
    assert loop.retaken_alike
    assert np.isnan(result.steps["loss"]).tolist() == [True, False, True, False]
    assert_same(loop.state(), truth_after(flags, (1, 2), (3, 4))[1])


@every_loop
def test_skip_stops_at_the_bad_batch_beyond_its_allowance_over_all_epochs(make_loop, dataset, flags):
    flags = [*flags, "training.on_divergence=skip", "training.max_skipped=3"]
    loop = make_loop(flags, with_bad_molecules(dataset, 1, 3))
    first, second = loop.run_epoch(EPOCH), loop.run_epoch(EPOCH)
    assert (first.diverged_at, len(first.skipped)) == (None, 2)
    assert (second.diverged_at, second.skipped) == (EPOCH * STEPS + 3, (EPOCH * STEPS + 1,))


@every_loop
def test_continue_trains_on_as_keras_does_and_keeps_the_last_good_state(make_loop, dataset, truth_after, flags):
    loop = make_loop([*flags, "training.on_divergence=continue"], with_bad_molecules(dataset, 1))
    result = loop.run_epoch(EPOCH)
    assert result.diverged_at == EPOCH * STEPS + 1
    assert len(result.steps["loss"]) == STEPS
    assert not is_finite(loop.state())
    assert_same(loop.bad_state, truth_after(flags, (0, 1))[1])


@every_loop
@pytest.mark.parametrize("policy", ["stop", "skip", "continue"])
def test_an_update_that_is_not_finite_by_itself_is_found_though_only_the_next_step_shows_it(
    make_loop, dataset, flags, policy
):
    loop = make_loop([*flags, f"training.on_divergence={policy}"], dataset)
    loop.run_steps(0, 0, 3, 1)
    corrupted = with_moment(loop.state(), "nodes_2/kernel", np.nan)
    loop.restore(corrupted)
    result = loop.run_epoch(EPOCH)
    assert result.diverged_at == EPOCH * STEPS
    assert_same(loop.bad_state, corrupted)
    if policy != "continue":
        assert len(result.steps["loss"]) == 1
        assert np.isfinite(result.steps["loss"]).all()
        assert_same(loop.state(), corrupted)


@every_loop
def test_an_update_of_an_epoch_s_last_step_is_found_without_a_next_step(make_loop, dataset, flags):
    loop = make_loop([*flags, "optimizer.epsilon=0"], dataset)  # 0 / 0 where no gradient ever came
    loop._steps, loop._size = 1, BATCH
    assert loop.run_epoch(0).diverged_at == 0
    assert is_finite(loop.state())


@every_loop
def test_a_state_goes_on_with_the_same_bits_after_its_file(make_loop, dataset, flags, tmp_path):
    loop, other = make_loop(flags, dataset), make_loop(flags, dataset)
    loop.run_steps(0, 0, STEPS, 1)
    loop.state().save(tmp_path / "state.npz", batch=np.arange(3))
    arrays = read_arrays(tmp_path / "state.npz")
    assert arrays["batch"].tolist() == [0, 1, 2]
    other.restore(State.from_arrays(arrays))
    assert_same(loop.state(), other.state())
    ours, theirs = loop.run_steps(1, 0, STEPS, 1), other.run_steps(1, 0, STEPS, 1)
    assert len(ours.rows) == len(ours.norms) == STEPS
    for mine, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, their)
    assert_same(loop.state(), other.state())


@every_loop
def test_a_kept_state_does_not_change_while_training_goes_on(make_loop, dataset, flags):
    loop = make_loop(flags, dataset)
    loop.run_steps(0, 0, 2, 1)
    kept = loop.state()
    copied = values_of(kept)
    loop.run_steps(0, 2, STEPS, 1)
    for name, value in copied.items():
        np.testing.assert_array_equal(kept[name], value)
    after = values_of(loop.state())
    assert all((after[name] != copied[name]).any() for name in ("nodes_1/kernel", "adam/iteration"))


@every_loop
def test_layers_norms_are_of_their_kernel_and_bias_and_make_up_the_whole(make_loop, dataset, flags):
    result = make_loop(flags, dataset).run_epoch(0)
    assert list(result.norms) == ["grad_norm", "nodes_1", "nodes_2", "edges_1", "edges_2", "edges_mixing"]
    total = np.sqrt(sum(values**2 for name, values in result.norms.items() if name != "grad_norm"))
    assert len(total) == STEPS
    np.testing.assert_allclose(total, result.norms["grad_norm"], rtol=1e-6)


@every_loop
def test_norms_of_every_third_step_are_those_of_a_loop_that_takes_them_all(make_loop, dataset, flags):
    loop = make_loop(flags, dataset)
    start = loop.state()
    every = loop.run_epoch(1)
    loop.restore(start)
    loop.begin(loop.policy._replace(norms=3))
    third = loop.run_epoch(1)
    np.testing.assert_array_equal(every.norm_steps, [4, 5, 6, 7])
    np.testing.assert_array_equal(third.norm_steps, [6])
    for name, values in third.norms.items():
        np.testing.assert_array_equal(values, every.norms[name][2:3], err_msg=name)
    for name, values in third.steps.items():
        np.testing.assert_array_equal(values, every.steps[name], err_msg=name)


@every_loop
def test_a_bad_step_shows_its_norms_whatever_their_rhythm(make_loop, dataset, flags):
    loop = make_loop(flags, with_bad_molecules(dataset, 1))
    loop.begin(loop.policy._replace(norms=100))
    result = loop.run_epoch(EPOCH)
    assert result.norm_steps.tolist() == [EPOCH * STEPS + 1]
    assert np.isnan(result.norms["grad_norm"]).all()


@every_loop
def test_chunks_however_small_train_the_same_bits_and_find_the_same_bad_step(make_loop, dataset, flags, monkeypatch):
    whole, bad = make_loop(flags, dataset).run_epoch(EPOCH), with_bad_molecules(dataset, 2)
    found = make_loop(flags, bad)
    found.run_epoch(EPOCH)
    monkeypatch.setattr("jointdec.training.feed.CHUNK", 1)
    small, diverges = make_loop(flags, dataset), make_loop(flags, bad)
    for loop in (small, diverges):
        if not hasattr(loop, "_feed"):
            loop.capacity = 1  # of the class, for the loops that have no feed
    result = small.run_epoch(EPOCH)
    for name, values in whole.steps.items():
        np.testing.assert_array_equal(result.steps[name], values, err_msg=name)
    assert diverges.run_epoch(EPOCH).diverged_at == EPOCH * STEPS + 2
    assert_same(diverges.bad_state, found.bad_state)


@pytest.mark.slow
def test_all_loops_see_the_same_layers_norms(make_loop, dataset):
    norms = [make_loop([*flags, "training.precision=float64"], dataset).run_epoch(0).norms for flags in LOOPS]
    for other in norms[1:]:
        for name, values in norms[0].items():
            np.testing.assert_allclose(other[name], values, rtol=1e-10, err_msg=name)


def test_weights_that_no_loss_shows_are_traced_back_over_many_steps(make_loop, dataset):
    """Under float16 a NaN gradient counts as an overflow of the loss scale, and a masked weight changes no loss."""
    flags = ["loss=tf_native", "training.jit=false", "training.precision=float16", "optimizer.epsilon=0"]
    loop = make_loop(flags, dataset)
    before = loop.state()
    result = loop.run_epoch(0)
    assert result.diverged_at == 0
    assert loop.retaken_alike
    assert_same(loop.state(), before)


@pytest.mark.slow
def test_fit_tells_gradients_that_no_loss_scale_makes_finite(make_loop, dataset):
    flags = ["loss=split", "training=fit", "training.jit=false", "training.precision=float16"]
    loop = make_loop(flags, dataset)
    state = loop.state()
    kernel = state["edges_2/kernel"] * np.float32(3e4)
    values = {"edges_2/kernel": kernel, "loss_scale_optimizer/dynamic_scale": np.float32(1)}
    loop.restore(State({**state.values, **values}))
    result = loop.run_epoch(0)
    assert result.diverged_at == 0


@pytest.mark.parametrize(
    "flags",
    [
        ("loss=tf_native", "training.jit=false"),
        pytest.param(("loss=joint", "training.jit=false"), marks=pytest.mark.slow),
        pytest.param(("loss=joint",), marks=pytest.mark.slow),
        pytest.param(("loss=split", "training=fit", "training.jit=false"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_loss_scale_that_falls_below_1_is_the_divergence_of_that_step(make_loop, dataset, flags):
    # a loss of 1e8 is finite, and its gradient is not, which float16 ends with 65,504
    loop = make_loop([*flags, "training.precision=float16", "loss.weights.nodes=1e8"], dataset)
    before = State({**loop.state().values, "loss_scale_optimizer/dynamic_scale": np.float32(2)})
    loop.restore(before)
    result = loop.run_epoch(0)
    assert result.diverged_at == 1
    assert np.isfinite(result.steps["loss"]).all()
    assert (result.norms["grad_norm"] == 0).all()
    assert loop.bad_state["loss_scale_optimizer/dynamic_scale"] == 1
    np.testing.assert_array_equal(loop.bad_state["nodes_2/kernel"], before["nodes_2/kernel"])


def test_steps_taken_again_that_give_other_numbers_are_told(make_loop, dataset, monkeypatch):
    loop = make_loop(LOOPS[0], with_bad_molecules(dataset, 2))
    run_steps = loop.run_steps

    def changed(epoch, first, stop, norms):
        steps = run_steps(epoch, first, stop, norms)
        return steps._replace(rows=steps.rows * (1 + 1e-7 * (stop < STEPS - 1)))

    monkeypatch.setattr(loop, "run_steps", changed)
    assert loop.run_epoch(EPOCH).diverged_at == EPOCH * STEPS + 2
    assert not loop.retaken_alike


def test_steps_that_float16_s_loss_scaling_skips_are_no_divergence(make_loop, dataset, monkeypatch):
    monkeypatch.setattr("jointdec.problems.molecules.native_optimizer.INITIAL_SCALE", 2.0**40)
    loop = make_loop(["loss=tf_native", "training.jit=false", "training.precision=float16"], dataset)
    result = loop.run_epoch(0)
    assert result.diverged_at is None
    assert (result.norms["grad_norm"] == 0).all()
    assert loop.state()["loss_scale_optimizer/dynamic_scale"] == 2.0**36
    assert loop.state()["loss_scale_optimizer/step_counter"] == 0
