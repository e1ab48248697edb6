"""JAX's fastest: data on the device, the whole epoch in one compiled ``lax.scan``, Adam by hand."""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from contender import Contender, Round

from zoo.jax_twins import Arrays, Statistics, loss_of
from zoo.problem import BATCH, BETA_1, BETA_2, EPSILON, LEARNING_RATE, NORM_MOMENTUM, SHRINK, Zoo

Batch = tuple[Arrays, Arrays, Arrays]


class State(NamedTuple):
    """What a step changes."""

    weights: Arrays
    first: Arrays
    second: Arrays
    moving: Statistics  # averages that batch normalisation keeps for inference
    steps: jax.Array


def scanned(problem: Zoo) -> Contender:
    """An epoch is one call."""
    state = _start(problem)

    def stacked(array: jax.Array) -> jax.Array:
        return jnp.asarray(array)[: problem.steps * BATCH].reshape(problem.steps, BATCH, *array.shape[1:])

    batches = jax.tree.map(stacked, tuple(problem.data))

    @partial(jax.jit, donate_argnums=0)
    def program(state: State, batches: Batch) -> tuple[State, jax.Array]:
        state, measured = jax.lax.scan(partial(_step, problem.model), state, batches)
        return state, measured.mean(0)

    def epoch(number: int) -> Round:
        nonlocal state
        start = time.perf_counter()
        state, means = program(state, batches)
        loss, _ = means.tolist()  # waits for the device
        return Round(1000 * (time.perf_counter() - start) / problem.steps, loss)

    return epoch


def _start(problem: Zoo) -> State:
    weights = {path: jnp.asarray(value) for path, value in problem.weights.items()}
    zeros = [{path: jnp.zeros_like(value) for path, value in weights.items()} for _ in range(2)]
    normalised = problem.model in ("mlp", "mlp_dropout", "custom_step")
    moving = (jnp.zeros(64), jnp.ones(64)) if normalised else ()
    return State(weights, *zeros, moving, jnp.zeros((), jnp.int32))


def _step(model: str, state: State, batch: Batch) -> tuple[State, jax.Array]:
    """One step of Adam; the loss and the accuracy come out."""
    noise = jax.random.fold_in(jax.random.key(0), state.steps)
    differentiated = jax.value_and_grad(loss_of, has_aux=True)
    (loss, (accuracy, *statistics)), gradients = differentiated(state.weights, model, *batch, noise)
    tree, steps = jax.tree.map, state.steps + 1
    if model == "custom_step":
        gradients = tree(lambda g: SHRINK * g, gradients)
    rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**steps) / (1 - BETA_1**steps)
    first = tree(lambda m, g: m + (1 - BETA_1) * (g - m), state.first, gradients)
    second = tree(lambda v, g: v + (1 - BETA_2) * (g * g - v), state.second, gradients)
    weights = tree(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), state.weights, first, second)
    moving = tree(lambda a, b: a + (1 - NORM_MOMENTUM) * (b - a), state.moving, tuple(statistics))
    return State(weights, first, second, moving, steps), jnp.stack([loss, accuracy])
