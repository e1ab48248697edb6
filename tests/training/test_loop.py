"""The guard against divergence, of every loop. Truth: another loop of the same kind that never meets the bad step."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from jointdec.losses.formulation import make_formulation
from jointdec.training import make_training
from jointdec.training.order import batch_order

LOOPS = [
    ("loss=tf_native", "training.jit=false"),
    ("loss=split", "training=fit", "training.jit=false"),
    ("loss=tf1_graph",),
]
XLA = ("loss=joint",)  # the first one's program, which takes seconds to compile
SLOW = [pytest.param(flags, marks=pytest.mark.slow) for flags in (LOOPS[1], XLA)]
SIZE, BATCH, EPOCH = 35, 10, 2
STEPS = 4
every_loop = pytest.mark.parametrize("flags", [LOOPS[0], LOOPS[2], *SLOW], ids=" ".join)


@pytest.fixture
def make_loop(make_config):
    def make(flags, dataset):
        config = make_config(*flags, "model.tower=[8]", f"training.batch_size={BATCH}")
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
        config = make_config(*flags, "model.tower=[8]", f"training.batch_size={BATCH}")
        made = make_training(config, make_formulation(config), make_dataset(SIZE))
        return made, made.state()

    def after(flags, *parts):
        made, initial = loop(flags)
        made.restore(initial)
        rows = [made.run_steps(EPOCH, first, stop) for first, stop in parts]
        return np.concatenate(rows), made.state()

    return after


def with_bad_molecules(dataset, *steps, bad=np.nan):
    """A feature of one molecule in each of these steps of the epoch is not finite."""
    features, order = dataset.train.features.copy(), batch_order(0, EPOCH, SIZE)
    for step in steps:
        features[order[step * BATCH + 3], 4] = bad
    return replace(dataset, train=replace(dataset.train, features=features))


def assert_same(one, other):
    assert one.iterations == other.iterations
    for group in ("weights", "first", "second"):
        for name, value in getattr(one, group).items():
            np.testing.assert_array_equal(np.asarray(value), np.asarray(getattr(other, group)[name]), err_msg=name)


def with_moment(state, name, value):
    """One number of Adam's second moment replaced."""
    second = {key: np.array(array) for key, array in state.second.items()}
    second[name].flat[0] = value
    return replace(state, second=second)


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
    assert not loop.state().finite_weights
    assert_same(loop.bad_state, truth_after(flags, (0, 1))[1])


@every_loop
@pytest.mark.parametrize("policy", ["stop", "skip", "continue"])
def test_an_update_that_is_not_finite_by_itself_is_found_though_only_the_next_step_shows_it(
    make_loop, dataset, flags, policy
):
    loop = make_loop([*flags, f"training.on_divergence={policy}"], dataset)
    loop.run_steps(0, 0, 3)
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
    assert loop.state().finite_weights


@every_loop
def test_a_state_goes_on_with_the_same_bits_after_its_file(make_loop, dataset, flags, tmp_path):
    loop, other = make_loop(flags, dataset), make_loop(flags, dataset)
    loop.run_steps(0, 0, STEPS)
    loop.state().save(tmp_path / "state.npz", batch=np.arange(3))
    with np.load(tmp_path / "state.npz", allow_pickle=False) as arrays:
        assert arrays["batch"].tolist() == [0, 1, 2]
        other.restore(type(loop.state()).from_arrays(dict(arrays)))
    assert_same(loop.state(), other.state())
    np.testing.assert_array_equal(loop.run_steps(1, 0, STEPS), other.run_steps(1, 0, STEPS))
    assert_same(loop.state(), other.state())


@every_loop
def test_a_kept_state_does_not_change_while_training_goes_on(make_loop, dataset, flags):
    loop = make_loop(flags, dataset)
    loop.run_steps(0, 0, 2)
    kept = loop.state()
    copied = {name: np.array(value) for name, value in kept.weights.items()}
    loop.run_steps(0, 2, STEPS)
    for name, value in copied.items():
        np.testing.assert_array_equal(np.asarray(kept.weights[name]), value)
    assert any((np.asarray(loop.state().weights[name]) != value).any() for name, value in copied.items())


@every_loop
def test_layers_norms_are_of_their_kernel_and_bias_and_make_up_the_whole(make_loop, dataset, flags):
    result = make_loop(flags, dataset).run_epoch(0)
    assert list(result.layers) == ["nodes_1", "nodes_2", "edges_1", "edges_2", "edges_mixing"]
    total = np.sqrt(sum(values**2 for values in result.layers.values()))
    np.testing.assert_allclose(total, result.steps["grad_norm"], rtol=1e-6)


@pytest.mark.slow
def test_all_loops_see_the_same_layers_norms(make_loop, dataset):
    norms = [make_loop([*flags, "training.precision=float64"], dataset).run_epoch(0).layers for flags in LOOPS]
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
    broken = dict(loop.state().weights)
    broken["edges_2/kernel"] = broken["edges_2/kernel"] * np.float32(3e4)
    loop.restore(replace(loop.state(), weights=broken, loss_scale=(1.0, 0)))
    result = loop.run_epoch(0)
    assert result.diverged_at == 0


def test_steps_taken_again_that_give_other_numbers_are_told(make_loop, dataset, monkeypatch):
    loop = make_loop(LOOPS[0], with_bad_molecules(dataset, 2))
    run_steps = loop.run_steps
    monkeypatch.setattr(loop, "run_steps", lambda *steps: run_steps(*steps) * (1 + 1e-7 * (steps[2] < STEPS)))
    assert loop.run_epoch(EPOCH).diverged_at == EPOCH * STEPS + 2
    assert not loop.retaken_alike


def test_steps_that_float16_s_loss_scaling_skips_are_no_divergence(make_loop, dataset, monkeypatch):
    from jointdec.training import loss_scale

    monkeypatch.setattr(loss_scale, "INITIAL_SCALE", 2.0**40)
    loop = make_loop(["loss=tf_native", "training.jit=false", "training.precision=float16"], dataset)
    result = loop.run_epoch(0)
    assert result.diverged_at is None
    assert (result.steps["grad_norm"] == 0).all()
    assert loop.state().loss_scale == (2.0**36, 0)
