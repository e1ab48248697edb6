"""The eight models in JAX: functions of the weights, which keep Keras's paths, on inputs by name.

Each returns the features that the heads see, and the batch's mean and variance where it normalises by them.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from zoo.problem import DROPOUT, KEY, LOSS_WEIGHTS, NORM_EPSILON, SHIFT

Arrays = dict[str, jax.Array]
Statistics = tuple[jax.Array, ...]
Trunk = Callable[[Arrays, Arrays, jax.Array], tuple[jax.Array, Statistics]]


def loss_of(  # noqa: PLR0913, PLR0917 (what a step has)
    weights: Arrays, model: str, x: Arrays, y: Arrays, w: Arrays, noise: jax.Array
) -> tuple[jax.Array, Statistics]:
    """The loss; then the share of right classes and what moves the running averages.

    Args:
        weights: by Keras's paths.
        model: its name.
        x: inputs by name, B rows.
        y: labels by head, B rows.
        w: sample weights by head, B rows.
        noise: a random key, for dropout.
    """
    h, statistics = TRUNKS[model](weights, x, noise)
    logits, guesses = dense(weights, "cls", h), dense(weights, "reg", h)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y["cls"][:, None], 1)[:, 0]
    on_cls = -(chosen * w["cls"]).mean()
    on_reg = (jnp.square(guesses - y["reg"]).mean(1) * w["reg"]).mean()
    accuracy = (logits.argmax(1) == y["cls"]).mean()
    return LOSS_WEIGHTS["cls"] * on_cls + LOSS_WEIGHTS["reg"] * on_reg, (accuracy, *statistics)


def dense(weights: Arrays, name: str, x: jax.Array) -> jax.Array:
    """A Dense layer without its activation."""
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def mlp(weights: Arrays, x: Arrays, noise: jax.Array) -> tuple[jax.Array, Statistics]:
    """Dense, ReLU, batch normalisation."""
    h = jax.nn.relu(dense(weights, "hidden", x["x"]))
    mean, variance = h.mean(0), h.var(0)
    return _normalised(weights, h, mean, variance), (mean, variance)


def mlp_dropout(weights: Arrays, x: Arrays, noise: jax.Array) -> tuple[jax.Array, Statistics]:
    """The same with dropout."""
    h, statistics = mlp(weights, x, noise)
    kept = jax.random.bernoulli(noise, 1 - DROPOUT, h.shape)
    return jnp.where(kept, h / (1 - DROPOUT), 0), statistics


def custom_step(weights: Arrays, x: Arrays, noise: jax.Array) -> tuple[jax.Array, Statistics]:
    """The same on shifted inputs."""
    return mlp(weights, {"x": x["x"] + SHIFT}, noise)


def two_inputs(weights: Arrays, x: Arrays, noise: jax.Array) -> tuple[jax.Array, Statistics]:
    """Two inputs side by side, Dense, ReLU."""
    return jax.nn.relu(dense(weights, "hidden", jnp.concatenate([x["a"], x["b"]], 1))), ()


def embedding(weights: Arrays, x: Arrays, noise: jax.Array) -> tuple[jax.Array, Statistics]:
    """The mean of 20 vectors."""
    return weights["embedding/embeddings"][x["x"]].mean(1), ()


def lstm(weights: Arrays, x: Arrays, noise: jax.Array) -> tuple[jax.Array, Statistics]:
    """The last state of 20."""
    kernel, recurrent, bias = (weights[f"lstm/lstm_cell/{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
    projected = jnp.swapaxes(x["x"] @ kernel + bias, 0, 1)

    def cell(state: tuple[jax.Array, jax.Array], projected: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        h, c = state
        i, f, g, o = jnp.split(projected + h @ recurrent, 4, 1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    start = jnp.zeros((projected.shape[1], recurrent.shape[0]))
    return jax.lax.scan(cell, (start, start), projected)[0][0], ()


def attention(weights: Arrays, x: Arrays, noise: jax.Array) -> tuple[jax.Array, Statistics]:
    """A block of self-attention with its residual and normalisation, then the mean; b rows, t times, h heads."""
    h = dense(weights, "hidden", x["x"])

    def project(name: str) -> jax.Array:
        kernel, bias = weights[f"attention/{name}/kernel"], weights[f"attention/{name}/bias"]
        return jnp.einsum("btd,dhk->bthk", h, kernel) + bias

    scores = jax.nn.softmax(jnp.einsum("bthk,bshk->bhts", project("query"), project("key")) / KEY**0.5)
    mixed = jnp.einsum("bhts,bshk->bthk", scores, project("value"))
    kernel, bias = (weights[f"attention/attention_output/{name}"] for name in ("kernel", "bias"))
    h = h + jnp.einsum("bthk,hkd->btd", mixed, kernel) + bias
    return _normalised(weights, h, h.mean(-1, keepdims=True), h.var(-1, keepdims=True)).mean(1), ()


def cnn(weights: Arrays, x: Arrays, noise: jax.Array) -> tuple[jax.Array, Statistics]:
    """Two convolutions with a pooling between them."""

    def convolved(name: str, x: jax.Array) -> jax.Array:
        layout = ("NHWC", "HWIO", "NHWC")
        h = jax.lax.conv_general_dilated(x, weights[f"{name}/kernel"], (1, 1), "VALID", dimension_numbers=layout)
        return jax.nn.relu(h + weights[f"{name}/bias"])

    window = (1, 2, 2, 1)
    h = jax.lax.reduce_window(convolved("first", x["x"]), -jnp.inf, jax.lax.max, window, window, "VALID")
    h = convolved("second", h)
    return h.reshape(len(h), -1), ()


def _normalised(weights: Arrays, h: jax.Array, mean: jax.Array, variance: jax.Array) -> jax.Array:
    return (h - mean) * jax.lax.rsqrt(variance + NORM_EPSILON) * weights["norm/gamma"] + weights["norm/beta"]


TRUNKS: dict[str, Trunk] = {
    trunk.__name__: trunk for trunk in (mlp, mlp_dropout, custom_step, two_inputs, embedding, lstm, attention, cnn)
}
