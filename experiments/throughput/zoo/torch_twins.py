"""The eight models in PyTorch: functions of the weights, which keep Keras's paths, on inputs by name.

Each returns the features that the heads see, and the batch's mean and variance where it normalises by them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from zoo.problem import DROPOUT, HEADS, KEY, LOSS_WEIGHTS, NORM_EPSILON, SHIFT, Zoo

Tensors = dict[str, torch.Tensor]
Statistics = tuple[torch.Tensor, ...]
Trunk = Callable[[Tensors, Tensors], tuple[torch.Tensor, Statistics]]


def loss_of(weights: Tensors, model: str, x: Tensors, y: Tensors, w: Tensors) -> tuple[torch.Tensor, Statistics]:
    """The loss; then the share of right classes and what moves the running averages.

    Args:
        weights: as `starting_weights` lays them out.
        model: its name.
        x: inputs as `inputs` lays them out, B rows.
        y: labels by head, B rows.
        w: sample weights by head, B rows.
    """
    h, statistics = TRUNKS[model](weights, x)
    logits = h @ weights["cls/kernel"] + weights["cls/bias"]
    guesses = h @ weights["reg/kernel"] + weights["reg/bias"]
    on_cls = (functional.cross_entropy(logits, y["cls"], reduction="none") * w["cls"]).mean()
    on_reg = ((guesses - y["reg"]).square().mean(1) * w["reg"]).mean()
    accuracy = (logits.argmax(1) == y["cls"]).float().mean()
    return LOSS_WEIGHTS["cls"] * on_cls + LOSS_WEIGHTS["reg"] * on_reg, (accuracy.detach(), *statistics)


def dense(weights: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    """A Dense layer without its activation."""
    return torch.addmm(weights[f"{name}/bias"], x, weights[f"{name}/kernel"])


def mlp(weights: Tensors, x: Tensors) -> tuple[torch.Tensor, Statistics]:
    """Dense, ReLU, batch normalisation."""
    h = functional.relu(dense(weights, "hidden", x["x"]))
    variance, mean = torch.var_mean(h.detach(), 0, correction=0)
    h = functional.batch_norm(
        h, None, None, weights["norm/gamma"], weights["norm/beta"], training=True, eps=NORM_EPSILON
    )
    return h, (mean, variance)


def mlp_dropout(weights: Tensors, x: Tensors) -> tuple[torch.Tensor, Statistics]:
    """The same with dropout."""
    h, statistics = mlp(weights, x)
    return functional.dropout(h, DROPOUT), statistics


def custom_step(weights: Tensors, x: Tensors) -> tuple[torch.Tensor, Statistics]:
    """The same on shifted inputs."""
    return mlp(weights, {"x": x["x"] + SHIFT})


def two_inputs(weights: Tensors, x: Tensors) -> tuple[torch.Tensor, Statistics]:
    """Two inputs side by side, Dense, ReLU."""
    return functional.relu(dense(weights, "hidden", torch.cat([x["a"], x["b"]], 1))), ()


def embedding(weights: Tensors, x: Tensors) -> tuple[torch.Tensor, Statistics]:
    """The mean of 20 vectors."""
    return functional.embedding(x["x"], weights["embedding/embeddings"]).mean(1), ()


def lstm(weights: Tensors, x: Tensors) -> tuple[torch.Tensor, Statistics]:
    """The last state of 20; by PyTorch's own kernel, which torch.compile can't look into, and else by hand."""
    kernel, recurrent, bias = (weights[f"lstm/lstm_cell/{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
    rows, times, _ = x["x"].shape
    h = c = x["x"].new_zeros(rows, recurrent.shape[0])
    if not torch.compiler.is_compiling():
        # PyTorch has a second bias, which stays zero
        flat, start = [kernel.T, recurrent.T, bias, torch.zeros_like(bias)], (h[None], c[None])
        _, last, _ = torch.lstm(x["x"], start, flat, True, 1, 0.0, True, False, True)
        return last[0], ()
    projected = x["x"] @ kernel + bias
    for time in range(times):
        i, f, g, o = (projected[:, time] + h @ recurrent).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    return h, ()


def attention(weights: Tensors, x: Tensors) -> tuple[torch.Tensor, Statistics]:
    """A block of self-attention with its residual and normalisation, then the mean."""
    width = HEADS * KEY
    h = x["x"] @ weights["hidden/kernel"] + weights["hidden/bias"]
    rows, times, _ = h.shape

    def project(name: str) -> torch.Tensor:
        kernel, bias = weights[f"attention/{name}/kernel"], weights[f"attention/{name}/bias"]
        return (h @ kernel.reshape(width, width) + bias.flatten()).view(rows, times, HEADS, KEY).transpose(1, 2)

    mixed = functional.scaled_dot_product_attention(project("query"), project("key"), project("value"))
    kernel, bias = (weights[f"attention/attention_output/{name}"] for name in ("kernel", "bias"))
    h = h + mixed.transpose(1, 2).reshape(rows, times, width) @ kernel.reshape(width, width) + bias
    return functional.layer_norm(h, (width,), weights["norm/gamma"], weights["norm/beta"], NORM_EPSILON).mean(1), ()


def cnn(weights: Tensors, x: Tensors) -> tuple[torch.Tensor, Statistics]:
    """Two convolutions with a pooling between them."""
    h = functional.relu(functional.conv2d(x["x"], weights["first/kernel"], weights["first/bias"]))
    h = functional.max_pool2d(h, 2)
    return functional.relu(functional.conv2d(h, weights["second/kernel"], weights["second/bias"])).flatten(1), ()


TRUNKS: dict[str, Trunk] = {
    trunk.__name__: trunk for trunk in (mlp, mlp_dropout, custom_step, two_inputs, embedding, lstm, attention, cnn)
}


def starting_weights(problem: Zoo) -> Tensors:
    """The problem's weights; kernels of convolutions, and what follows them, in PyTorch's order of dimensions."""
    weights = dict(problem.weights)
    if problem.model == "cnn":
        for name in ("first/kernel", "second/kernel"):
            weights[name] = weights[name].transpose(3, 2, 0, 1)
        for name in ("cls/kernel", "reg/kernel"):
            weights[name] = weights[name].reshape(11, 11, 32, -1).transpose(2, 0, 1, 3).reshape(11 * 11 * 32, -1)
    return {path: torch.tensor(np.ascontiguousarray(value)) for path, value in weights.items()}


def inputs(problem: Zoo) -> Tensors:
    """The problem's inputs; pictures with their channels first."""
    x = problem.data.x
    return {name: torch.tensor(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array) for name, array in x.items()}
