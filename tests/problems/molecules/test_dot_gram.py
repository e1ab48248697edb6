import keras
import numpy as np
import pytest
import tensorflow as tf

from jointdec.objective.formulation import make_formulation
from jointdec.problems.molecules.decoder import batched_gram
from jointdec.problems.molecules.dot_gram import dot_gram


def test_dot_multiplies_every_molecule_with_every_other_and_a_batched_product_each_with_itself():
    x = np.random.default_rng(0).normal(size=(20, 4, 9, 15)).astype(np.float32)
    dot, gram = np.asarray(dot_gram(tf.constant(x))), np.asarray(batched_gram(x))
    assert dot.shape == (20, 4, 9, 20, 4, 9)
    assert dot[0].size == 25_920
    for molecule, channel in ((0, 0), (7, 3), (19, 2)):
        expected = x[molecule, channel] @ x[molecule, channel].T
        np.testing.assert_allclose(gram[molecule, channel], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(dot[molecule, channel, :, molecule, channel], expected, rtol=1e-5, atol=1e-5)


def test_the_source_s_error_is_what_tensorflow_still_says_of_these_shapes():
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"In\[0\]: \[20,25920\], In\[1\]: \[324,324\]"):
        tf.matmul(tf.zeros((20, 25_920)), tf.zeros((324, 324)))


def test_the_declared_output_shape_hides_the_mistake_until_a_batch_comes(make_config):
    model = make_formulation(make_config("model=two_tower_dot", "loss=split", "model.tower=[8]")).inner
    assert model.get_layer("edges_gram_dot").output.shape == (None, 4, 9, 9)
    with pytest.raises(ValueError, match=r"expected axis -1 of input shape to have value 324.*\(20, 25920\)"):
        model(keras.ops.zeros((20, 135)))
