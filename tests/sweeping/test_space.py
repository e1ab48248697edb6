"""Truths: Hydra's grammar for what is typed, the typed configuration for what is allowed."""

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from jointdec.config import conf_folder
from jointdec.errors import UserError
from jointdec.sweeping.points import Points, override_of, take_apart, value_of
from jointdec.sweeping.space import corners, grid, make_space, refuse_moving_target


def space_of(*overrides):
    request = take_apart(overrides)
    return make_space(request.searched, Points(request.fixed))


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("loss.weights.edges=tag(log,interval(0.1,10))", FloatDistribution(0.1, 10, log=True)),
        ("model.alpha=interval(0,1)", FloatDistribution(0, 1)),  # whole bounds, but alpha is no whole number
        ("training.batch_size=interval(10,300)", IntDistribution(10, 300)),
        ("training.batch_size=tag(log,interval(8,512))", IntDistribution(8, 512, log=True)),
        ("training.batch_size=range(50,300,50)", IntDistribution(50, 250, step=50)),  # Python's range: without its stop
        ("model.alpha=range(0,0.5,0.1)", FloatDistribution(0, 0.4, step=0.1)),
        ("loss=choice(joint,split)", CategoricalDistribution(["joint", "split"])),
        ("loss.weights.edges=1,2.5", CategoricalDistribution([1.0, 2.5])),
        ("model.tower=choice([8],[16,32])", CategoricalDistribution(["[8]", "[16,32]"])),
        ("training.jit=choice(true,false)", CategoricalDistribution([True, False])),
    ],
)
def test_hydras_sweep_syntax_means_what_the_keys_type_makes_of_it(text, distribution):
    (dimension,) = space_of(text)
    assert dimension.key == text.partition("=")[0]
    assert dimension.distribution == distribution


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["loss.weight.edges=interval(1,2)"], "did you mean 'loss.weights.edges'"),
        (["loss.weights.edges=interval(2,1)"], "the interval is empty"),
        (["loss.weights.edges=interval(1,1)"], "the interval is empty"),
        (["loss.weights.edges=tag(log,interval(0,1))"], "starts above 0"),
        (["loss.weights.edges=tag(linear,interval(0,1))"], "log is the only one"),
        (["training.batch_size=interval(1.5,3)"], "whole numbers"),
        (["training.batch_size=range(1,3,0.5)"], "whole numbers"),
        (["model.alpha=range(1,1)"], "the range is empty"),
        (["model.alpha=range(0.5,0,-0.1)"], "rising order"),
        (["model.alpha=0.1,0.1"], "give choices that differ"),
        (["loss=interval(1,2)"], "loss is a word"),
        (["training.precision=interval(1,2)"], "is no number"),
        (["model.alpha=1,2", "model.alpha=3,4"], "searched twice"),
        (["+search=nothing"], "the options are alpha, loss_weights"),
        (["model.alpha=0.1"], "nothing to search"),
        (["sweep.n_trials=1,2"], "cannot search its own settings"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_sentence(overrides, sentence):
    with pytest.raises(UserError, match=sentence):
        space_of(*overrides)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model.alpha=interval(-1,1)"], "model.alpha=-1.0: model.alpha is -1.0, but must be at least 0"),
        (["loss=choice(split,tf_native)", "training=fit"], "loss=tf_native: training=fit is Keras's own loop"),
        (["model.alpha=0.1,x"], "model.alpha=x: model.alpha: Value 'x'"),
        (["data=choice(gaussian,molecules)", "data.n_train=interval(5,9)"], "data=molecules data.n_train"),
        (["loss=choice(split,nothing)"], "There is no option loss=nothing"),
    ],
)
def test_every_corner_of_a_space_must_be_a_valid_configuration(overrides, sentence):
    request = take_apart(overrides)
    configure = Points(request.fixed)
    with pytest.raises(UserError, match=sentence):
        corners(make_space(request.searched, configure), configure)


@pytest.mark.parametrize("file", sorted((conf_folder() / "search").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_search_that_ships_is_valid_with_every_formulation(file):
    for loss in ("joint", "split", "tf_native", "tf1_graph"):
        request = take_apart([f"+search={file.stem}", f"loss={loss}"])
        configure = Points(request.fixed)
        assert len(corners(make_space(request.searched, configure), configure)) >= 2


def test_a_typed_value_takes_the_place_of_the_searched_one():
    request = take_apart(["+search=loss_weights_and_alpha", "model.alpha=0.1"])
    assert [dimension.key for dimension in make_space(request.searched, Points(request.fixed))] == [
        "loss.weights.edges"
    ]
    assert Points(request.fixed)({"loss.weights.edges": 3.0}).model.alpha == 0.1


def test_a_study_is_named_after_experiment_and_search():
    assert take_apart(["+experiment=split_loss", "+search=alpha"]).name == "split_loss-alpha"
    assert take_apart(["loss=tf_native", "model.alpha=1,2"]).name == "tf_native-search"


def test_a_grid_takes_every_point_once_and_no_interval():
    points = grid(space_of("loss=joint,split", "model.alpha=range(0,0.5,0.1)", "seed=1,2"))
    assert len({tuple(point.items()) for point in points}) == len(points) == 2 * 5 * 2
    assert points[7] == {"loss": "joint", "model.alpha": 0.3, "seed": 2}
    with pytest.raises(UserError, match=r"model\.alpha is no choice or range"):
        grid(space_of("model.alpha=interval(0,1)"))


def test_the_weighted_sum_is_no_objective_for_its_own_weights():
    with pytest.raises(UserError, match="would find the smallest weights"):
        refuse_moving_target(["val/loss"], space_of("loss.weights.edges=1,2"))
    refuse_moving_target(["val/loss"], space_of("model.alpha=0.1,0.2"))
    refuse_moving_target(["val/exact"], space_of("loss.weights.edges=1,2"))


@pytest.mark.slow
@settings(max_examples=20)  # each composes
@given(st.floats(1e-12, 1e12), st.booleans(), st.sampled_from(["joint", "split"]))
def test_a_point_and_the_command_that_trains_it_are_the_same_configuration(weight, jit, loss):
    point = {"loss": loss, "loss.weights.edges": weight, "training.jit": jit, "model.tower": "[8,16]"}
    config = Points([])(point)
    assert (config.loss.name, config.loss.weights["edges"], config.training.jit) == (loss, weight, jit)
    assert config.model.tower == [8, 16]
    assert Points([override_of(key, value) for key, value in point.items()])({}) == config


def test_suggestions_are_values_of_the_space():
    space = space_of("loss=joint,split", "model.alpha=interval(0,0.5)", "training.batch_size=range(50,300,50)")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        point = {dimension.key: dimension.suggest(trial) for dimension in space}
        config = Points([])(point)
        assert config.training.batch_size in (50, 100, 150, 200, 250)
        assert 0 <= value_of(config, "model.alpha") <= 0.5
