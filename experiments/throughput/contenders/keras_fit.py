"""Keras's ``fit`` on a plain model, with nothing of jointdec's recording: as it comes, and tuned.

Keras shuffles nothing here, the arrays come in the order of the common batches; putting them in order is not timed.
"""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from problem import Contender, Problem, Round

from jointdec.problems.molecules.cross_entropies import edge_cross_entropy, node_cross_entropy
from jointdec.problems.molecules.decoder import stock_model

STEPS_PER_EXECUTION = 50


def defaults(problem: Problem) -> Contender:
    """Arrays in, everything as Keras chooses, but for the progress bar, which is off."""
    model, labels = _model(problem), problem.one_hot()

    def epoch(number: int) -> Round:
        order = problem.batches(number).ravel()
        x, y = problem.molecules.x[order], {head: array[order] for head, array in labels.items()}
        return _fit(problem, model, x, y, batch_size=problem.batch, shuffle=False)

    return epoch


def tuned(problem: Problem) -> Contender:
    """``jit_compile=True``, ``steps_per_execution``, and a tf.data pipeline that prefetches."""
    model = _model(problem, jit_compile=True, steps_per_execution=min(STEPS_PER_EXECUTION, problem.steps))
    labels = problem.one_hot()

    def epoch(number: int) -> Round:
        order = problem.batches(number).ravel()
        arrays = (problem.molecules.x[order], {head: array[order] for head, array in labels.items()})
        data = tf.data.Dataset.from_tensor_slices(arrays).batch(problem.batch, drop_remainder=True)
        return _fit(problem, model, data.prefetch(tf.data.AUTOTUNE))

    return epoch


def _model(problem: Problem, **options: Any) -> keras.Model:  # noqa: ANN401 (Keras's own keywords)
    config = problem.config
    model = stock_model(config.model, "float32", problem.weights)
    model.compile(
        optimizer=keras.optimizers.Adam(config.optimizer.learning_rate, epsilon=config.optimizer.epsilon),
        loss={"nodes": node_cross_entropy, "edges": edge_cross_entropy},
        loss_weights={"nodes": config.loss.weights["nodes"], "edges": config.loss.weights["edges"]},
        **options,
    )
    return model


def _fit(problem: Problem, model: keras.Model, *data: Any, **options: Any) -> Round:  # noqa: ANN401 (Keras's own)
    start = time.perf_counter()
    history = model.fit(*data, verbose=0, **options).history
    seconds = time.perf_counter() - start
    return Round(1000 * seconds / problem.steps, float(np.mean(history["loss"])))
