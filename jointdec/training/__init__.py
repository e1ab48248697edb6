"""The training loops: one interface, chosen by ``training.name``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from jointdec.config import Config

if TYPE_CHECKING:
    from jointdec.data.dataset import Dataset, Split
    from jointdec.losses.formulation import Formulation
    from jointdec.training.result import EpochResult


class Training(Protocol):
    """Trains one formulation on one data set."""

    compile_seconds: float

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train on every molecule once, in the order of (seed, epoch), then evaluate the validation split."""

    def evaluate(self, split: Split) -> dict[str, float]:
        """Means over a split: loss, nodes, edges, node_accuracy, edge_accuracy, exact."""


def make_training(config: Config, formulation: Formulation, dataset: Dataset) -> Training:
    """The loop that the configuration names, with the framework that it needs."""
    if config.loss.name == "tf1_graph":
        from jointdec.losses.tf1_graph import Tf1Graph
        from jointdec.training.session import SessionTraining

        assert isinstance(formulation, Tf1Graph)
        return SessionTraining(config, formulation, dataset)
    if config.training.name == "compiled":
        from jointdec.training.program import CompiledTraining

        return CompiledTraining(config, formulation, dataset)
    from jointdec.losses.keras_formulation import KerasFormulation
    from jointdec.training.fit import FitTraining

    assert isinstance(formulation, KerasFormulation)  # jointdec.config refuses the rest
    return FitTraining(config, formulation, dataset)
