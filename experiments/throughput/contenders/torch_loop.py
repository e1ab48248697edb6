"""PyTorch: the usual training loop, eager and under ``torch.compile``. Data are tensors on the device."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable

import torch
from problem import Contender, Problem, Round
from torch.nn import functional

from contenders import Missing
from jointdec.problems.molecules.architecture import GRAM_WIDTH, Dense, architecture
from jointdec.problems.molecules.sizes import EDGE_CLASSES, NODE_CLASSES, NODES

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class Decoder(torch.nn.Module):
    """The network with its loss, from Linear layers."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        layers, weights = architecture(problem.config.model), problem.weights
        assert layers.mixing

        def linear(layer: Dense) -> torch.nn.Linear:
            made = torch.nn.Linear(layer.inputs, layer.units)
            made.load_state_dict(
                {
                    "weight": torch.tensor(weights[f"{layer.name}/kernel"].T),
                    "bias": torch.tensor(weights[f"{layer.name}/bias"]),
                }
            )
            return made

        self.nodes = torch.nn.ModuleList(map(linear, layers.nodes))
        self.edges = torch.nn.ModuleList(map(linear, layers.edges))
        self.mixing = linear(layers.mixing)
        self.alpha, self.loss_weights = problem.config.model.alpha, problem.config.loss.weights

    def forward(self, x: torch.Tensor, nodes: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """The loss of features (B, 135) and int64 labels (B, 9) and (B, 9, 9)."""
        a = b = x
        for layer in self.nodes:
            a = functional.leaky_relu(layer(a), self.alpha)
        for layer in self.edges:
            b = functional.leaky_relu(layer(b), self.alpha)
        b = b.reshape(-1, NODES, EDGE_CLASSES, GRAM_WIDTH).transpose(1, 2)
        b = functional.leaky_relu(self.mixing((b @ b.transpose(2, 3)).flatten(1)), self.alpha)
        b = b.reshape(-1, EDGE_CLASSES, NODES, NODES)
        on_nodes = functional.cross_entropy(a.reshape(-1, NODES, NODE_CLASSES).transpose(1, 2), nodes)
        on_edges = torch.triu(functional.cross_entropy(b, edges, reduction="none"), diagonal=1).mean()
        return self.loss_weights["nodes"] * on_nodes + self.loss_weights["edges"] * on_edges


def eager(problem: Problem) -> Contender:
    """The loop as it is usually written."""
    return _contender(problem, lambda decoder: decoder)


def compiled(problem: Problem) -> Contender:
    """Forward and backward pass under ``torch.compile``; the optimizer is eager, as usual."""
    if not (os.environ.get("CXX") or any(map(shutil.which, ("c++", "g++", "clang++", "cl")))):
        raise Missing("torch.compile needs a C++ compiler")
    return _contender(problem, torch.compile)


def _contender(problem: Problem, wrap: Callable[[Decoder], Loss]) -> Contender:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32, which TensorFlow and JAX use by default
    decoder = Decoder(problem).to(device)
    loss_of = wrap(decoder)
    optimizer = problem.config.optimizer
    adam = torch.optim.Adam(decoder.parameters(), lr=optimizer.learning_rate, eps=optimizer.epsilon)
    features = torch.tensor(problem.molecules.x, device=device)
    nodes = torch.tensor(problem.molecules.y["nodes"], dtype=torch.int64, device=device)
    edges = torch.tensor(problem.molecules.y["edges"], dtype=torch.int64, device=device)

    def epoch(number: int) -> Round:
        batches = torch.tensor(problem.batches(number), device=device)
        total = torch.zeros((), device=device)
        start = time.perf_counter()
        for batch in batches:
            adam.zero_grad()
            loss = loss_of(features[batch], nodes[batch], edges[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            total += loss.detach()
        mean = float(total) / problem.steps  # waits for the device
        return Round(1000 * (time.perf_counter() - start) / problem.steps, mean)

    return epoch
