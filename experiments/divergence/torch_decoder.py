"""The decoder, its losses and Adam in PyTorch, from a state of jointdec's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from jointdec.config import Config
from jointdec.problems.molecules.architecture import GRAM_WIDTH, architecture
from jointdec.problems.molecules.sizes import EDGE_CLASSES, NODE_CLASSES, NODES
from jointdec.problems.molecules.twin_state import decoder_state
from jointdec.training.state import State

CLIP = 1e-7


class Trainer:
    """A step of training at a time."""

    def __init__(self, config: Config, state: State) -> None:
        self._config, self._layers = config, architecture(config.model)
        start = decoder_state(config.model, state)
        self._weights = {name: _tensor(value).requires_grad_() for name, value in start.weights.items()}
        optimizer = config.optimizer
        self._adam = torch.optim.Adam(self._weights.values(), lr=optimizer.learning_rate, eps=optimizer.epsilon)
        if start.iterations:
            for name, weight in self._weights.items():
                self._adam.state[weight] = {
                    "step": torch.tensor(float(start.iterations)),
                    "exp_avg": _tensor(start.first[name]),
                    "exp_avg_sq": _tensor(start.second[name]),
                }

    def step(self, features: npt.NDArray[Any], labels: dict[str, npt.NDArray[Any]]) -> float:
        """One step of Adam on features (B, 135) and labels (B, 9, 5) and (B, 9, 9, 4); the loss before it."""
        self._adam.zero_grad()
        loss = self._loss(*self._heads(_tensor(features)), _tensor(labels["nodes"]), _tensor(labels["edges"]))
        loss.backward()  # type: ignore[no-untyped-call]
        self._adam.step()
        return float(loss)

    def _heads(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nodes = edges = x
        for layer in self._layers.nodes:
            nodes = self._dense(nodes, layer.name)
        for layer in self._layers.edges:
            edges = self._dense(edges, layer.name)
        edges = edges.reshape(-1, NODES, EDGE_CLASSES, GRAM_WIDTH).transpose(1, 2)
        edges = self._dense((edges @ edges.transpose(2, 3)).flatten(1), "edges_mixing")
        return nodes.reshape(-1, NODES, NODE_CLASSES), edges.reshape(-1, EDGE_CLASSES, NODES, NODES).permute(0, 2, 3, 1)

    def _dense(self, x: torch.Tensor, name: str) -> torch.Tensor:
        x = x @ self._weights[f"{name}/kernel"] + self._weights[f"{name}/bias"]
        return functional.leaky_relu(x, self._config.model.alpha)

    def _loss(self, nodes: torch.Tensor, edges: torch.Tensor, y: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        weights, name = self._config.loss.weights, self._config.loss.name
        if name == "mse":
            return weights["nodes"] * functional.mse_loss(nodes, y) + weights["edges"] * functional.mse_loss(edges, e)
        if name == "answer":
            p = (nodes / nodes.sum(-1, keepdim=True)).clamp(CLIP, 1 - CLIP)
            on_nodes = -(y * p.log()).sum(-1).mean()
        else:
            on_nodes = -(y * nodes.log_softmax(-1)).sum(-1).mean()
        on_edges = torch.triu(-(e * edges.log_softmax(-1)).sum(-1), diagonal=1).mean()
        return weights["nodes"] * on_nodes + weights["edges"] * on_edges


def _tensor(value: Any) -> torch.Tensor:  # noqa: ANN401 (whatever NumPy reads)
    return torch.tensor(np.array(value, np.float32))
