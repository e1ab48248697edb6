from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from jointdec.losses.formulation import make_formulation
from jointdec.training import loss_scale
from jointdec.training.loss_scale import LossScale
from jointdec.training.program import CompiledTraining


@pytest.fixture
def small_constants(monkeypatch):
    monkeypatch.setattr(loss_scale, "INITIAL_SCALE", 8.0)
    monkeypatch.setattr(loss_scale, "GROWTH_STEPS", 3)


def scale_of(scale):
    return float(scale.scale(tf.constant(1.0)))


@pytest.mark.usefixtures("small_constants")
@pytest.mark.parametrize("jit", [False, True])
def test_the_scale_halves_after_an_overflow_and_doubles_after_enough_good_steps_in_a_row(jit):
    scale = LossScale()
    adjust = tf.function(scale.adjust, jit_compile=jit)
    finite = [True, True, False, True, True, True, True, False, False, True, True, True]
    expected = [8, 8, 4, 4, 4, 8, 8, 4, 2, 2, 2, 4]
    seen = []
    for value in finite:
        overflow = bool(adjust(tf.constant(value)))
        assert overflow is not value
        seen.append(scale_of(scale))
    assert seen == expected


@pytest.mark.usefixtures("small_constants")
def test_at_scale_1_a_gradient_that_is_not_finite_is_the_losses_own_and_no_overflow():
    scale = LossScale()
    not_finite = tf.constant(False)
    assert [bool(scale.adjust(not_finite)) for _ in range(5)] == [True, True, True, False, False]
    assert scale_of(scale) == 1


def test_unscaling_undoes_what_scaling_did_to_the_gradient():
    scale, x = LossScale(), tf.Variable(3.0)
    with tf.GradientTape() as tape:
        loss = scale.scale(x**2)
    assert float(loss) == 9 * 2**15
    assert float(scale.unscale([tape.gradient(loss, x)])[0]) == 6


@pytest.fixture
def train(make_config, make_dataset):
    def run(scale, monkeypatch, features=None, on_divergence="stop"):
        monkeypatch.setattr(loss_scale, "INITIAL_SCALE", scale)
        dataset = make_dataset(30)
        if features is not None:
            dataset = replace(dataset, train=replace(dataset.train, features=features(dataset.train.features)))
        config = make_config(
            "loss=tf_native",
            "model.tower=[8]",
            "training.batch_size=10",
            "training.precision=float16",
            "training.jit=false",
            f"training.on_divergence={on_divergence}",
        )
        formulation = make_formulation(config)
        start = formulation.get_weights()
        training = CompiledTraining(config, formulation, dataset)
        results = [training.run_epoch(epoch) for epoch in range(2)]
        return results, start, formulation.get_weights(), scale_of(training._loss_scale)

    return run


def test_steps_that_overflow_are_skipped_with_norm_0_until_the_scale_fits(train, monkeypatch):
    results, start, end, scale = train(2.0**24, monkeypatch)
    norms = np.concatenate([result.steps["grad_norm"] for result in results])
    losses = np.concatenate([result.steps["loss"] for result in results])
    skipped = int((norms == 0).sum())
    assert 0 < skipped < 6
    assert (norms[:skipped] == 0).all()
    assert (norms[skipped:] > 0).all()
    assert np.isfinite(losses).all()
    assert results[0].diverged_at is None
    assert scale == 2.0 ** (24 - skipped)
    assert any((end[name] != value).any() for name, value in start.items())


def test_while_every_step_overflows_the_weights_stay_bit_for_bit(train, monkeypatch):
    results, start, end, scale = train(2.0**60, monkeypatch)
    assert all((result.steps["grad_norm"] == 0).all() for result in results)
    assert scale == 2.0**54
    for name, value in start.items():
        np.testing.assert_array_equal(end[name], value)


def test_a_nan_of_the_features_is_reported_as_nan_and_does_not_hide_as_an_overflow(train, monkeypatch):
    def all_nan(features):
        return np.full_like(features, np.nan)

    for scale, norms in ((1.0, [np.nan] * 3), (4.0, [0, 0, np.nan])):
        results, *_ = train(scale, monkeypatch, all_nan, "continue")
        assert results[0].diverged_at == 0  # the loss says so at once, whatever the scale
        np.testing.assert_array_equal(results[0].steps["grad_norm"], norms)
