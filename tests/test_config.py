import math

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from jointdec.config import Limits, conf_folder, parse
from jointdec.errors import UserError, did_you_mean
from jointdec.problems.compose import with_problem


def parsed(*overrides):
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return parse(compose("config", overrides=with_problem(overrides)))


def shipped(group):
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))


@pytest.mark.parametrize(
    "override",
    [
        *(
            f"{group}={option}"
            for group in ("data", "model", "loss", "optimizer", "training", "tracking")
            for option in shipped(group)
        ),
        # arrays asks for a file: tests/problems/test_arrays.py
        *(f"+experiment={option}" for option in shipped("experiment") if option != "arrays"),
        *(f"+experiment=source/{option}" for option in shipped("experiment/source")),
    ],
)
def test_every_shipped_option_is_a_valid_configuration(override):
    parsed(override)


@pytest.mark.parametrize("option", shipped("experiment"))
def test_every_experiment_opens_with_the_command_that_runs_it(option):
    text = (conf_folder() / "experiment" / f"{option}.yaml").read_text()
    assert f"python -m jointdec.run +experiment={option}" in text


def test_overrides_arrive_typed():
    config = parsed(
        "training.epochs=3", "model.alpha=0", "model.tower=[8,9]", "loss.weights.edges=0.5", "data.path=x.smi"
    )
    assert (config.training.epochs, config.model.alpha, config.model.tower) == (3, 0.0, [8, 9])
    assert isinstance(config.model.alpha, float)
    assert config.loss.weights == {"nodes": 1.0, "edges": 0.5}
    assert config.data.path == "x.smi"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("training.epochs=-1", "training.epochs is -1, but must be at least 1"),
        ("training.epochs=2.5", "training.epochs: Value '2.5'"),
        ("training.epochs=null", "training.epochs"),
        ("training.batch_size=0", "training.batch_size is 0, but must be at least 1"),
        ("training.precision=float8", "training.precision is 'float8', but must be one of float32, bfloat16"),
        ("training.jit=perhaps", "training.jit is 'perhaps', but must be one of auto, true, false"),
        ("model.alpha=nan", "model.alpha is nan, but must be a finite number"),
        ("model.alpha=-0.1", "model.alpha is -0.1, but must be at least 0"),
        ("model.tower=[8,0]", "model.tower is 0, but must be at least 1"),
        ("model.tower=8", "model.tower"),
        ("optimizer.learning_rate=0", "optimizer.learning_rate is 0.0, but must be above 0"),
        ("optimizer.learning_rate=inf", "optimizer.learning_rate is inf, but must be a finite number"),
        ("loss.weights.nodes=-1", "loss.weights.nodes is -1.0, but must be at least 0"),
        ("loss.name=mae", "loss.name is 'mae', but must be one of joint, split, zero_plus_total, mse"),
        ("data.name=zinc", "data.name is 'zinc', but must be one of arrays, gaussian, molecules, qm9"),
        ("seed=-1", "seed is -1, but must be at least 0"),
        ("seed=x", "seed: Value 'x'"),
        ("+seeds=1", "no key 'seeds' (did you mean 'seed'?)"),
        ("+training.epoch=1", "no key 'training.epoch' (did you mean 'training.epochs'?)"),
        ("+loss.weights.bonds=1", "bonds"),
        ("~model", "The configuration has no 'model'"),
        ("~seed", "The configuration has no 'seed'"),
        ("~optimizer.epsilon", "optimizer.epsilon"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_key(override, sentence):
    with pytest.raises(UserError) as caught:
        parsed(override)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fit_refuses_a_formulation_without_keras():
    with pytest.raises(UserError, match="use training=compiled, or loss=joint or loss=split"):
        parsed("training=fit", "loss=tf_native")


def test_every_group_of_the_configuration_is_required():
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        composed = compose("config")
    for group in list(composed):
        partial = OmegaConf.masked_copy(composed, [key for key in composed if key != group])
        with pytest.raises(UserError, match=f"has no '{group}'"):
            parse(partial)


@given(st.integers(), st.integers())
def test_at_least_allows_its_bound_and_above_does_not(value, bound):
    assert (Limits(at_least=bound).problem(value) is None) == (value >= bound)
    assert (Limits(above=bound).problem(value) is None) == (value > bound)


@settings(max_examples=15)  # each composes
@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_learning_rate_is_taken_exactly_if_it_is_finite_and_positive(value):
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        composed = compose("config")
    composed.optimizer.learning_rate = value
    if math.isfinite(value) and value > 0:
        assert parse(composed).optimizer.learning_rate == value
    else:
        with pytest.raises(UserError, match=r"optimizer\.learning_rate"):
            parse(composed)


def test_a_close_word_is_proposed_and_a_far_one_is_not():
    assert did_you_mean("epoch", ["epochs", "alpha"]) == " (did you mean 'epochs'?)"
    assert did_you_mean("zzz", ["epochs", "alpha"]) == ""
