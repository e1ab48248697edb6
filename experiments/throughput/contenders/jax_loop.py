"""JAX: data on the device, one compiled step called from Python, or ``lax.scan`` over the epoch's steps."""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from problem import Contender, Problem, Round

from jointdec.problems.molecules.architecture import GRAM_WIDTH, Dense, architecture
from jointdec.problems.molecules.sizes import EDGE_CLASSES, NODE_CLASSES, NODES

BETA_1, BETA_2 = 0.9, 0.999
Weights = dict[str, jax.Array]
Data = tuple[jax.Array, jax.Array, jax.Array]


class State(NamedTuple):
    """What a step changes."""

    weights: Weights
    first: Weights
    second: Weights
    steps: jax.Array


def step_by_step(problem: Problem) -> Contender:
    """Python calls a compiled step for each batch; JAX runs ahead of Python as it likes."""
    state, data = _start(problem)
    step = jax.jit(partial(_step, problem), donate_argnums=0)

    def epoch(number: int) -> Round:
        nonlocal state
        batches, losses = problem.batches(number), []
        start = time.perf_counter()
        for batch in batches:
            state, loss = step(state, data, batch)
            losses.append(loss)
        mean = float(jnp.stack(losses).mean())
        return Round(1000 * (time.perf_counter() - start) / problem.steps, mean)

    return epoch


def scanned(problem: Problem) -> Contender:
    """The whole epoch in one compiled function."""
    state, data = _start(problem)

    @partial(jax.jit, donate_argnums=0)
    def program(state: State, data: Data, batches: jax.Array) -> tuple[State, jax.Array]:
        state, losses = jax.lax.scan(lambda state, batch: _step(problem, state, data, batch), state, batches)
        return state, losses.mean()

    def epoch(number: int) -> Round:
        nonlocal state
        batches = problem.batches(number)
        start = time.perf_counter()
        state, loss = program(state, data, batches)
        mean = float(loss)
        return Round(1000 * (time.perf_counter() - start) / problem.steps, mean)

    return epoch


def _start(problem: Problem) -> tuple[State, Data]:
    weights = {name: jnp.asarray(value, jnp.float32) for name, value in problem.weights.items()}

    def zeros() -> Weights:
        return {name: jnp.zeros_like(value) for name, value in weights.items()}

    molecules = problem.molecules
    data = (jnp.asarray(molecules.x), jnp.asarray(molecules.y["nodes"]), jnp.asarray(molecules.y["edges"]))
    return State(weights, zeros(), zeros(), jnp.zeros((), jnp.int32)), data


def _step(problem: Problem, state: State, data: Data, batch: jax.Array) -> tuple[State, jax.Array]:
    """One step of Adam on the molecules of these numbers."""
    rows = (array[batch] for array in data)
    loss, gradients = jax.value_and_grad(partial(_loss, problem))(state.weights, *rows)
    optimizer, steps = problem.config.optimizer, state.steps + 1
    rate = optimizer.learning_rate * jnp.sqrt(1 - BETA_2**steps) / (1 - BETA_1**steps)
    tree = jax.tree.map
    first = tree(lambda m, g: m + (1 - BETA_1) * (g - m), state.first, gradients)
    second = tree(lambda v, g: v + (1 - BETA_2) * (g * g - v), state.second, gradients)
    weights = tree(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + optimizer.epsilon), state.weights, first, second)
    return State(weights, first, second, steps), loss


def _loss(problem: Problem, weights: Weights, x: jax.Array, nodes: jax.Array, edges: jax.Array) -> jax.Array:
    layers, alpha = architecture(problem.config.model), problem.config.model.alpha
    assert layers.mixing

    def dense(x: jax.Array, layer: Dense) -> jax.Array:
        return jax.nn.leaky_relu(x @ weights[f"{layer.name}/kernel"] + weights[f"{layer.name}/bias"], alpha)

    a = b = x
    for layer in layers.nodes:
        a = dense(a, layer)
    for layer in layers.edges:
        b = dense(b, layer)
    b = b.reshape(-1, NODES, EDGE_CLASSES, GRAM_WIDTH).transpose(0, 2, 1, 3)
    b = dense((b @ b.transpose(0, 1, 3, 2)).reshape(-1, layers.mixing.inputs), layers.mixing)
    b = b.reshape(-1, EDGE_CLASSES, NODES, NODES).transpose(0, 2, 3, 1)
    on_nodes = _cross_entropy(nodes, a.reshape(-1, NODES, NODE_CLASSES)).mean()
    on_edges = jnp.triu(_cross_entropy(edges, b), k=1).mean()
    return problem.config.loss.weights["nodes"] * on_nodes + problem.config.loss.weights["edges"] * on_edges


def _cross_entropy(labels: jax.Array, logits: jax.Array) -> jax.Array:
    return -(jax.nn.one_hot(labels, logits.shape[-1]) * jax.nn.log_softmax(logits)).sum(-1)
