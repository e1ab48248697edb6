"""What the loops of the commands take from a configuration and a formulation: policy, optimizer, fitting labels."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from jointdec.config import BETA_1, BETA_2, AdamConfig, Config, OptimizerConfig
from jointdec.dataset import Dataset
from jointdec.labels import fitted
from jointdec.objective.formulation import Formulation
from jointdec.objective.keras_formulation import KerasFormulation
from jointdec.training.loop import Policy


def policy_of(config: Config) -> Policy:
    """What the configuration says about steps that are not finite, and about norms."""
    training = config.training
    return Policy(training.on_divergence, training.max_skipped, training.norms)


def layers_of(formulation: Formulation) -> tuple[str, ...]:
    """The paths of the layers that train, in the order of their variables."""
    return tuple(dict.fromkeys(name.rpartition("/")[0] or name for name in formulation.variables))


def keras_optimizer(
    config: OptimizerConfig,
    precision: str,
    adam: type[keras.optimizers.Adam] = keras.optimizers.Adam,
    sgd: type[keras.optimizers.SGD] = keras.optimizers.SGD,
) -> keras.optimizers.Optimizer:
    """Adam or plain gradient descent, as an instance of these classes; under float16 with Keras's own loss scale.

    Names are given, so that paths of variables are the same in every process and after every number of trials.
    """
    # Keras turns a Python float into a float32 tensor first: in float64 its Adam would decay with 0.99900001
    number = np.float64 if precision == "float64" else float
    if isinstance(config, AdamConfig):
        betas = {"beta_1": number(BETA_1), "beta_2": number(BETA_2)}
        optimizer = adam(config.learning_rate, epsilon=config.epsilon, name=config.name, **betas)
        # a Python float would be compiled in
        dtype = "float64" if precision == "float64" else "float32"
        optimizer.epsilon = keras.Variable(config.epsilon, trainable=False, dtype=dtype, name="epsilon")
    else:
        optimizer = sgd(config.learning_rate, name=config.name)
    if precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
    return optimizer


def set_live(optimizer: keras.optimizers.Optimizer, config: OptimizerConfig) -> None:
    """Go on with other values; a program that is compiled uses them."""
    inner = optimizer.inner_optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else optimizer
    inner.learning_rate = config.learning_rate
    if isinstance(config, AdamConfig):
        inner.epsilon.assign(config.epsilon)


def fit_labels(dataset: Dataset, formulation: Formulation) -> Dataset:
    """The data set, checked against the model.

    Raises:
        BadProblem: labels or weights have another shape than the outputs ask for.
    """
    if not isinstance(formulation, KerasFormulation):
        return dataset  # of molecules, whose shapes are known
    problem = formulation.problem
    shapes = {head: loss.shape for head, loss in formulation.losses.items()}
    fit = dataset.with_splits(
        {
            name: fitted(split, problem.heads, shapes, f"the {name} split of {problem.where}")
            for name, split in dataset.splits.items()
        }
    )
    return replace(fit, identity=dataset.digest)  # a replay knows the data before it has a model
