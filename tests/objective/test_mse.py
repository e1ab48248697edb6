import numpy as np
import pytest
import tensorflow as tf

from jointdec.objective.formulation import make_formulation


def test_loss_and_curves_are_the_mean_squared_errors_of_the_raw_outputs(make_config):
    config = make_config("loss=mse", "model.tower=[8]", "training.precision=float64", "loss.weights.nodes=3")
    formulation, rng = make_formulation(config), np.random.default_rng(0)
    shapes = {"nodes": (4, 9, 5), "edges": (4, 9, 9, 4)}
    heads, labels = ({head: rng.normal(size=shape) for head, shape in shapes.items()} for _ in range(2))
    squares = {head: float(((heads[head] - labels[head]) ** 2).mean()) for head in shapes}
    tensors = [{head: tf.constant(array) for head, array in arrays.items()} for arrays in (labels, heads)]
    losses = {name: float(value) for name, value in formulation.loss(*tensors).items()}
    assert losses == pytest.approx({**squares, "loss": 3 * squares["nodes"] + 2 * squares["edges"]}, rel=1e-12)
