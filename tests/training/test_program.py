"""The compiled epoch against a training loop written out in float64 numpy: order, batches, gradients, Adam, curves."""

import functools

import numpy as np
import pytest

from jointdec.dataset import Dataset
from jointdec.objective.formulation import make_formulation
from jointdec.problems.molecules.dataset import molecules_split
from jointdec.training.order import batch_order
from jointdec.training.problem_loop import CompiledTraining

FORMULATIONS = ["joint", "split", "tf_native"]
each_formulation = pytest.mark.parametrize(
    "loss", [pytest.param(name, marks=[] if name == "joint" else pytest.mark.slow) for name in FORMULATIONS]
)
LOSSES = ("loss", "nodes", "edges")
TINY = ["model.tower=[8]", "training.batch_size=10", "training.norms=1"]


def numpy_training(truth, config, weights, split, epochs):
    """A row of LOSSES and the gradient's norm a step, and the final weights."""
    weights = {name: value.astype(np.float64) for name, value in weights.items()}
    m, v, t, rows = dict.fromkeys(weights, 0.0), dict.fromkeys(weights, 0.0), 0, []
    lr, epsilon = config.optimizer.learning_rate, config.optimizer.epsilon
    w, size = config.loss.weights, config.training.batch_size
    for epoch in epochs:
        order = batch_order(config.seed, epoch, len(split), reshuffle=config.training.reshuffle)
        for first in range(0, len(split), size):
            batch = order[first : first + size]
            decoder = truth(config.model, weights, split.x[batch], split.y["nodes"][batch], split.y["edges"][batch])
            loss, gradients = decoder.losses(), decoder.backward(w["nodes"], w["edges"])
            norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
            rows.append([w["nodes"] * loss["nodes"] + w["edges"] * loss["edges"], loss["nodes"], loss["edges"], norm])
            t += 1
            for name, g in gradients.items():
                m[name] = 0.9 * m[name] + 0.1 * g
                v[name] = 0.999 * v[name] + 0.001 * g**2
                rate = lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
                weights[name] = weights[name] - rate * m[name] / (np.sqrt(v[name]) + epsilon)
    return np.array(rows), weights


def rows_of(results):
    for result in results:
        np.testing.assert_array_equal(result.norm_steps, result.step_numbers)
    curves = [[*(result.steps[name] for name in LOSSES), result.norms["grad_norm"]] for result in results]
    return np.concatenate([np.stack(each, axis=1) for each in curves])


@pytest.fixture(scope="module")
def train(make_config, make_dataset):
    """Train some epochs; what came out, the final weights and the initial ones. Equal calls share one training."""

    def run(*overrides, size=23, epochs=(0, 1), dataset=None):
        config = make_config(*TINY, *overrides)
        formulation = make_formulation(config)
        start = formulation.get_weights()
        training = CompiledTraining(config, formulation, dataset or make_dataset(size))
        results = [training.run_epoch(epoch) for epoch in epochs]
        return results, formulation.get_weights(), start, config

    return functools.cache(run)


@each_formulation
def test_two_epochs_with_an_incomplete_last_batch_are_those_of_a_numpy_loop(train, make_dataset, decoder_truth, loss):
    results, weights, start, config = train(f"loss={loss}", "training.precision=float64", "seed=3")
    rows, expected = numpy_training(decoder_truth, config, start, make_dataset(23).train, (0, 1))
    np.testing.assert_allclose(rows_of(results), rows, rtol=1e-10)
    for name, value in weights.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-10, err_msg=name)
    assert [result.first_step for result in results] == [0, 3]
    last = {name: rows[3:, number] @ [10, 10, 3] / 23 for number, name in enumerate(("loss", "nodes", "edges"))}
    assert results[1].train == pytest.approx(last, rel=1e-10)


@pytest.mark.parametrize(("size", "steps"), [(5, 1), (10, 1), (20, 2), (1, 1)])
def test_any_number_of_molecules_trains_each_once_an_epoch(train, make_dataset, decoder_truth, size, steps):
    flags = ["loss=tf_native", "training.precision=float64", "training.jit=false", "training.reshuffle=false"]
    results, weights, start, config = train(*flags, size=size)
    rows, expected = numpy_training(decoder_truth, config, start, make_dataset(size).train, (0, 1))
    assert len(results[0].steps["loss"]) == steps
    np.testing.assert_allclose(rows_of(results), rows, rtol=1e-10)
    for name, value in weights.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-10, err_msg=name)


def test_an_epoch_depends_on_its_number_and_not_on_the_epochs_run_before(train, make_dataset, decoder_truth):
    flags = ["loss=tf_native", "training.precision=float64", "training.jit=false"]
    results, weights, start, config = train(*flags, epochs=(5,))
    rows, expected = numpy_training(decoder_truth, config, start, make_dataset(23).train, (5,))
    np.testing.assert_allclose(rows_of(results), rows, rtol=1e-10)
    for name, value in weights.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-10, err_msg=name)
    assert results[0].first_step == 15


def test_compiling_trains_nothing(train):
    _, weights, start, _ = train("loss=tf_native", "training.jit=false", epochs=())
    for name, value in weights.items():
        np.testing.assert_array_equal(value, start[name])


@pytest.mark.slow
def test_the_same_run_twice_gives_the_same_bits(train):
    (first, one, *_), (second, other, *_) = train("loss=tf_native"), train.__wrapped__("loss=tf_native")
    np.testing.assert_array_equal(rows_of(first), rows_of(second))
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])


@pytest.mark.slow
@each_formulation
def test_without_jit_the_same_program_runs_as_a_tensorflow_graph(train, loss):
    flags = [f"loss={loss}", "training.precision=float64", "seed=3"]
    (xla, one, *_), (graph, other, *_) = train(*flags), train(*flags, "training.jit=false")
    np.testing.assert_allclose(rows_of(xla), rows_of(graph), rtol=1e-12)
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.slow
def test_live_alpha_and_weights_change_a_compiled_epoch_without_another_trace(make_config, make_dataset, decoder_truth):
    """What a sweep does: one program, other numbers."""
    flags = ["loss=split", *TINY, "training.precision=float64"]
    new = make_config(*flags, "model.alpha=0.05", "loss.weights.nodes=3", "loss.weights.edges=0.5")
    formulation = make_formulation(make_config(*flags))
    start = formulation.get_weights()
    training = CompiledTraining(make_config(*flags), formulation, make_dataset(23))
    training.run_steps(0, 2, 3, 1)  # the last batch has a program of its own, which its first step compiles
    training.restore(training._initial)
    programs, compiled = dict(training._programs), training.compile_seconds
    traces = {size: program._run.experimental_get_tracing_count() for size, program in programs.items()}
    formulation.set_live(new)
    result = training.run_epoch(0)
    rows, weights = numpy_training(decoder_truth, new, start, make_dataset(23).train, (0,))
    np.testing.assert_allclose(rows_of([result]), rows, rtol=1e-10)
    for name, value in formulation.get_weights().items():
        np.testing.assert_allclose(value, weights[name], rtol=0, atol=1e-10, err_msg=name)
    assert (training._programs, training.compile_seconds) == (programs, compiled)
    assert sorted(traces) == [3, 10]
    for size, program in programs.items():
        assert program._run.experimental_get_tracing_count() == traces[size]


@pytest.mark.slow
def test_dense_labels_train_as_the_classes_that_they_stand_for(make_config):
    rng = np.random.default_rng(0)
    nodes, edges = rng.integers(0, 5, (12, 9)), rng.integers(0, 4, (12, 9, 9))
    features = rng.normal(size=(12, 135)).astype(np.float32)
    dense = molecules_split(features, np.eye(5, dtype=np.float32)[nodes], np.eye(4, dtype=np.float32)[edges])
    classes = molecules_split(features, nodes.astype(np.uint8), edges.astype(np.uint8))
    weights = []
    for split in (dense, classes):
        config = make_config("loss=tf_native", "model.tower=[8]", "training.batch_size=5", "training.jit=false")
        formulation = make_formulation(config)
        CompiledTraining(config, formulation, Dataset(split, split, split, "few", "few")).run_epoch(0)
        weights.append(formulation.get_weights())
    for name, value in weights[0].items():
        np.testing.assert_array_equal(value, weights[1][name])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "precision"),
    [
        ("split", "float32"),
        ("joint", "float16"),
        ("tf_native", "bfloat16"),
    ],
)
def test_a_program_that_starts_over_trains_as_a_fresh_one_to_the_last_bit(make_config, make_dataset, loss, precision):
    base = [f"loss={loss}", f"training.precision={precision}", *TINY]
    other = ["seed=5", "loss.weights.edges=7", "loss.weights.nodes=0.3", "model.alpha=0.01"]
    other += ["optimizer.learning_rate=0.02", "optimizer.epsilon=1e-3"]
    other += ["model.initializer=he_normal", "training.reshuffle=false"]
    config, dataset = make_config(*base, *other), make_dataset(23)
    fresh, used = make_formulation(config), make_formulation(make_config(*base))
    expected = CompiledTraining(config, fresh, dataset)
    program = CompiledTraining(make_config(*base), used, dataset)
    program.run_epoch(0)
    program.start_over(config)
    for epoch in range(3):
        then, now = expected.run_epoch(epoch), program.run_epoch(epoch)
        for curves in ("steps", "norms"):
            ours, theirs = ({n: v.tolist() for n, v in getattr(each, curves).items()} for each in (now, then))
            assert ours == theirs
        assert now.val == then.val
    for name, value in fresh.get_weights().items():
        np.testing.assert_array_equal(used.get_weights()[name], value, err_msg=name)


@pytest.mark.slow
def test_starting_over_forgets_a_divergence_and_refuses_another_program(make_config, make_dataset):
    flags = ["loss=tf_native", "model.tower=[8]", "training.batch_size=10"]
    program = CompiledTraining(
        make_config(*flags, "optimizer.learning_rate=1e30"), make_formulation(make_config(*flags)), make_dataset(23)
    )
    assert [program.run_epoch(epoch).diverged_at is not None for epoch in range(2)][-1]
    program.start_over(make_config(*flags))
    assert program.bad_state is None
    assert program.run_epoch(0).diverged_at is None
    with pytest.raises(ValueError, match="another program"):
        program.start_over(make_config(*flags, "training.batch_size=20"))
