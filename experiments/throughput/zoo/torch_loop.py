"""PyTorch's loop: as it is usually written, and with the whole step under ``torch.compile``."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable

import torch
from contender import Contender, Round
from contenders import Missing

from zoo.problem import BATCH, BETA_1, BETA_2, EPSILON, LEARNING_RATE, NORM_MOMENTUM, SHRINK, Zoo
from zoo.torch_twins import Tensors, inputs, loss_of, starting_weights

Step = Callable[[Tensors, Tensors, Tensors], tuple[torch.Tensor, torch.Tensor]]  # loss and accuracy of x, y, w


def eager(problem: Zoo) -> Contender:
    """``backward`` and `torch.optim.Adam`."""
    weights = {path: weight.requires_grad_() for path, weight in starting_weights(problem).items()}
    adam = torch.optim.Adam(weights.values(), lr=LEARNING_RATE, betas=(BETA_1, BETA_2), eps=EPSILON)
    moving = _moving(problem)

    def step(x: Tensors, y: Tensors, w: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        adam.zero_grad()
        loss, (accuracy, *statistics) = loss_of(weights, problem.model, x, y, w)
        loss.backward()  # type: ignore[no-untyped-call]
        if problem.model == "custom_step":
            for weight in weights.values():
                assert weight.grad is not None
                weight.grad.mul_(SHRINK)
        adam.step()
        _move(moving, statistics)
        return loss.detach(), accuracy

    return _contender(problem, step)


def compiled(problem: Zoo) -> Contender:
    """One graph of forward, backward and Adam by hand, so that nothing of a step is left to Python."""
    if not (os.environ.get("CXX") or any(map(shutil.which, ("c++", "g++", "clang++", "cl")))):
        raise Missing("torch.compile needs a C++ compiler")
    weights, moving = starting_weights(problem), _moving(problem)
    first = {path: torch.zeros_like(weight) for path, weight in weights.items()}
    second = {path: torch.zeros_like(weight) for path, weight in weights.items()}
    steps = torch.zeros(())

    def step(x: Tensors, y: Tensors, w: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        differentiated = torch.func.grad_and_value(loss_of, has_aux=True)
        gradients, (loss, (accuracy, *statistics)) = differentiated(weights, problem.model, x, y, w)
        steps.add_(1)
        rate = LEARNING_RATE * torch.sqrt(1 - BETA_2**steps) / (1 - BETA_1**steps)
        for path, weight in weights.items():
            gradient = gradients[path] * SHRINK if problem.model == "custom_step" else gradients[path]
            first[path].add_((gradient - first[path]) * (1 - BETA_1))
            second[path].add_((gradient.square() - second[path]) * (1 - BETA_2))
            weight.sub_(rate * first[path] / (second[path].sqrt() + EPSILON))
        _move(moving, statistics)
        return loss, accuracy

    return _contender(problem, torch.compile(step, fullgraph=True))


def _moving(problem: Zoo) -> list[torch.Tensor]:
    width = problem.weights["norm/gamma"].shape if "norm/gamma" in problem.weights else (0,)
    return [torch.zeros(width), torch.ones(width)]


def _move(moving: list[torch.Tensor], statistics: list[torch.Tensor]) -> None:
    """The running averages that batch normalisation keeps for inference."""
    for average, value in zip(moving, statistics, strict=False):
        average.mul_(NORM_MOMENTUM).add_(value, alpha=1 - NORM_MOMENTUM)


def _contender(problem: Zoo, step: Step) -> Contender:
    x = inputs(problem)
    y, w = ({head: torch.tensor(array) for head, array in part.items()} for part in problem.data[1:])

    def epoch(number: int) -> Round:
        total = torch.zeros(2)
        start = time.perf_counter()
        for first in range(0, problem.steps * BATCH, BATCH):
            rows = slice(first, first + BATCH)
            total += torch.stack(step(*({name: array[rows] for name, array in part.items()} for part in (x, y, w))))
        loss, _ = (total / problem.steps).tolist()
        return Round(1000 * (time.perf_counter() - start) / problem.steps, loss)

    return epoch
