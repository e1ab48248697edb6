"""Keras's own ``fit``: as it comes, and tuned with and without XLA, as neither is the faster on all models."""

from __future__ import annotations

import tensorflow as tf
from contender import Contender

from zoo.models import compiled_model
from zoo.problem import BATCH, Zoo
from zoo.turns import EPOCHS, in_turns

STEPS_PER_EXECUTION = 50


def defaults(problem: Zoo) -> Contender:
    """Arrays in, everything as Keras chooses, but for the progress bar and the shuffling."""
    model, (x, y, w) = compiled_model(problem), problem.data
    options = {"batch_size": BATCH, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
    return in_turns(problem.steps, lambda turns: model.fit(x, y, sample_weight=w, callbacks=[turns], **options))


def tuned(problem: Zoo) -> Contender:
    """``steps_per_execution`` and a tf.data pipeline that is cached and fetches ahead."""
    return _tuned(problem, jit=False)


def tuned_xla(problem: Zoo) -> Contender:
    """The same with ``jit_compile=True``."""
    return _tuned(problem, jit=True)


def _tuned(problem: Zoo, *, jit: bool) -> Contender:
    many = min(STEPS_PER_EXECUTION, problem.steps)
    model = compiled_model(problem, jit_compile=jit, steps_per_execution=many)
    batches = tf.data.Dataset.from_tensor_slices(tuple(problem.data)).batch(BATCH, drop_remainder=True)
    batches = batches.cache().prefetch(tf.data.AUTOTUNE)
    return in_turns(
        problem.steps, lambda turns: model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[turns])
    )
