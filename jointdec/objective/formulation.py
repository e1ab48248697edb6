"""What a formulation offers: how the heads' losses become one number to differentiate, and nothing else.

The training loops, the optimizer, the checkpoint and the metrics are shared and never ask which one it is. A class
says in ``summary`` what it is; ``loss.name`` is one of `jointdec.objective.formulations`, or of the problem's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from jointdec.config import Config
from jointdec.dataset import leaves, map_leaves
from jointdec.problem import OBJECTIVES, Problem
from jointdec.problems import find

if TYPE_CHECKING:
    import keras

CHUNK = 1024  # examples at a time outside of training
Tensor = Any  # of the framework that the formulation is written in
Labels = Mapping[str, Tensor]
Weights = dict[str, npt.NDArray[np.floating]]


class Formulation(ABC):
    """A network with its loss.

    Attributes:
        problem: whose heads, terms and metrics these are.
        variables: the trainable variables (each with ``assign`` and ``shape``) by path, in the model's order.
        summary: what it is, in Markdown, for the description of a run.
    """

    problem: Problem
    variables: Mapping[str, Any]
    summary: ClassVar[str]

    @property
    def curves(self) -> tuple[str, ...]:
        """The names of what `loss` gives: ``loss``, the heads, the terms."""
        return ("loss", *self.problem.heads, *self.problem.terms)

    @abstractmethod
    def heads(self, x: Tensor) -> dict[str, Tensor]:
        """The outputs by head: x a tree of (B, ...) -> (B, ...) each."""

    @abstractmethod
    def labels(self, labels: Labels, dtype: str) -> dict[str, Tensor]:
        """Labels as they lie on the device, as `loss` takes them."""

    @abstractmethod
    def loss(self, labels: Labels, heads: Labels, weights: Labels | None = None) -> dict[str, Tensor]:
        """Scalars of one batch: ``loss`` (the one to differentiate), and each head's and term's, unweighted.

        Args:
            labels: what `labels` made.
            heads: what `heads` returned.
            weights: of labels, by head; of a problem whose labels are all there None.
        """

    def sums(self, labels: Labels, heads: Labels, weights: Labels) -> dict[str, tuple[Tensor, Tensor]]:
        """Of each curve the numerator and denominator of its mean over these examples, as `loss` takes them."""
        size = next(iter(heads.values())).shape[0]
        return {name: (value * size, size) for name, value in self.loss(labels, heads).items()}

    def total_of(self, means: Mapping[str, float]) -> float:
        """The total of means of heads and terms where labels have weights; ``loss`` is then what it has besides."""
        raise NotImplementedError

    @abstractmethod
    def set_live(self, config: Config) -> None:
        """Set loss weights and what else is live: programs that are already compiled use them."""

    def logits(self, x: Any) -> dict[str, npt.NDArray[np.floating]]:  # noqa: ANN401 (a tree of arrays)
        """What `heads` says of any number of examples, as arrays by ``HEAD_logits``."""
        size = len(next(leaves(x)))
        parts = (slice(first, first + CHUNK) for first in range(0, size, CHUNK))
        chunks = [self._numpy_heads(map_leaves(itemgetter(part), x)) for part in parts]
        return {f"{head}_logits": np.concatenate([chunk[head] for chunk in chunks]) for head in self.problem.heads}

    def trained_model(self) -> keras.Model:
        """The problem's own model, if it is one in Keras."""
        raise NotImplementedError

    def count_parameters(self) -> int:
        """The number of trainable numbers."""
        return sum(int(np.prod(variable.shape)) for variable in self.variables.values())

    def get_weights(self) -> Weights:
        """Copies of the trainable variables."""
        return {name: np.array(variable) for name, variable in self.variables.items()}

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Assign every trainable variable; a missing name raises KeyError."""
        for name, variable in self.variables.items():
            variable.assign(weights[name])

    def _numpy_heads(self, x: Any) -> dict[str, npt.NDArray[np.floating]]:  # noqa: ANN401
        return {head: np.asarray(logits) for head, logits in self.heads(x).items()}


def formulation_class(problem: Problem, name: str) -> type[Formulation]:
    """The class that ``loss.name`` means for this problem; its module is imported now, since not all run everywhere."""
    if name in OBJECTIVES:
        return import_module("jointdec.objective.formulations").FORMULATIONS[name]  # type: ignore[no-any-return]
    module, _, member = problem.formulations[name].partition(":")
    return getattr(import_module(module), member)  # type: ignore[no-any-return]


def make_formulation(config: Config, x: Any = None) -> Formulation:  # noqa: ANN401 (a tree of arrays)
    """The formulation that ``loss.name`` names, with the initial weights of ``seed``.

    Args:
        config: the checked configuration.
        x: examples, for a model that does not know its inputs by itself.
    """
    problem = find(config.problem)
    return formulation_class(problem, config.loss.name)(problem, config, x)  # type: ignore[call-arg]
