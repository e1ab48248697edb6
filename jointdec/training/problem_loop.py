"""``training=compiled``: a formulation on a data set, its examples on the device, its step, its validation.

Labels lie on the device as they are, class indices as whole numbers, and are made what the loss takes in the step: of
the molecules a ninth of the memory traffic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from jointdec.config import Config, OptimizerConfig
from jointdec.dataset import Dataset, Split, map_leaves
from jointdec.objective.formulation import Formulation
from jointdec.objective.keras_formulation import KerasFormulation
from jointdec.problems import find
from jointdec.training.compiled import CompiledLoop, Jit
from jointdec.training.evaluation import Evaluation, on_device
from jointdec.training.feed import Resident
from jointdec.training.from_config import keras_optimizer, layers_of, policy_of, set_live
from jointdec.training.order import batch_order
from jointdec.training.state import State
from jointdec.training.step import Batch, KerasStep, Step


def compiled_for(config: Config) -> Config:
    """What of a configuration is compiled in: those that agree in it can share a `CompiledTraining` by `start_over`."""
    live: dict[str, Any] = {field.name: 0.0 for field in fields(config.optimizer) if field.name != "name"}
    unseen: dict[str, Any] = {"epochs": 0, "max_skipped": 0, "on_divergence": "", "on_runaway": "", "norms": 0}
    return replace(
        config,
        model=replace(config.model, **find(config.problem).not_compiled),
        loss=replace(
            config.loss, weights=dict.fromkeys(config.loss.weights, 0.0), terms=dict.fromkeys(config.loss.terms, 0.0)
        ),
        optimizer=replace(config.optimizer, **live),
        training=replace(config.training, reshuffle=True, **unseen),
        tracking=replace(config.tracking, name="", uri=None, experiment="", log_model=False),
        seed=0,
    )


def _jit_of(config: Config) -> Jit:
    return "auto" if config.training.jit == "auto" else config.training.jit is True


class CompiledTraining(CompiledLoop):
    """Trains a formulation on a data set. The constructor compiles."""

    _set_optimizer: Callable[[OptimizerConfig], None]

    def __init__(self, config: Config, formulation: Formulation, dataset: Dataset) -> None:
        self._config, self._formulation = config, formulation
        self._val_split = dataset.val
        self._dtype = tf.float64 if config.training.precision == "float64" else tf.float32
        jit = _jit_of(config)
        self._feed_of_rows = Resident(self._arrays(dataset.train), self.order, config.training.batch_size)
        self._val_on_device = on_device(dataset.val, self._dtype)
        super().__init__(
            self._make_step(),
            self._feed_of_rows,
            policy_of(config),
            jit=jit,
            evaluate=self._evaluate_split,
            val=dataset.val,
            steps=self._feed_of_rows.batches.steps * config.training.epochs,
        )
        self._evaluation = Evaluation(formulation, jit=self.jit)  # as the steps: a replay of auto's choice has its bits
        self._initial = self.state()

    def order(self, epoch: int) -> npt.NDArray[np.int32]:
        """The rows of the training split in the order of an epoch."""
        training, size = self._config.training, self._feed_of_rows.batches
        return batch_order(self._config.seed, epoch, size.whole + size.rest, reshuffle=training.reshuffle)

    def set_live(self, config: Config) -> None:
        """Go on with other loss weights, another rate, and what else is live, in the program that is compiled."""
        self._formulation.set_live(config)
        self._set_optimizer(config.optimizer)

    def start_over(self, config: Config) -> None:
        """Begin another configuration's training from its initial weights, in the program that is already compiled.

        Raises:
            ValueError: it differs in more than what is live.
        """
        if compiled_for(config) != compiled_for(self._config):
            raise ValueError("another program would have to be compiled for this configuration")
        self._config = config
        self._feed_of_rows.forget_order()
        self.begin(policy_of(config))
        self.restore(State({**self._initial.values, **self._formulation.problem.initial_weights(config)}))
        self.set_live(config)

    def _arrays(self, split: Split) -> tuple[Any, ...]:
        dtype = self._dtype.as_numpy_dtype
        x = map_leaves(lambda array: array.astype(dtype, copy=False) if array.dtype.kind == "f" else array, split.x)
        return (x, dict(split.y), dict(split.weights)) if split.weights else (x, dict(split.y))

    def _make_step(self) -> Step:
        config, formulation = self._config, self._formulation
        if isinstance(formulation, KerasFormulation):
            optimizer = keras_optimizer(config.optimizer, config.training.precision)
            formulation.compile_model(optimizer=optimizer, auto_scale_loss=False)
            optimizer.build(formulation.model.trainable_variables)
            self._set_optimizer = lambda live: set_live(optimizer, live)
            return KerasStep(formulation.model, self._prepare, layers_of(formulation))
        step, self._set_optimizer = formulation.problem.native_step(formulation, config, self._prepare)
        return step

    def _prepare(self, batch: Batch) -> Batch:
        x, y, *weights = batch
        return x, self._formulation.labels(y, self._dtype.name), *weights

    def _evaluate_split(self, split: Split) -> dict[str, float]:
        is_val = split is self._val_split
        return self._evaluation(self._val_on_device if is_val else on_device(split, self._dtype))
