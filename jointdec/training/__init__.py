"""The training loops: one interface, `jointdec.training.loop.Loop`, chosen by ``training.name``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jointdec.config import Config

if TYPE_CHECKING:
    from jointdec.dataset import Dataset
    from jointdec.objective.formulation import Formulation
    from jointdec.training.loop import Loop


def make_training(config: Config, formulation: Formulation, dataset: Dataset) -> Loop:
    """The loop that the configuration names, with the framework that it needs."""
    own = formulation.problem.training(config, formulation, dataset)
    if own is not None:
        return own
    if config.training.name == "compiled":
        from jointdec.training.problem_loop import CompiledTraining

        return CompiledTraining(config, formulation, dataset)
    from jointdec.objective.keras_formulation import KerasFormulation
    from jointdec.training.fit import FitTraining

    assert isinstance(formulation, KerasFormulation)  # Problem.check refuses the rest
    return FitTraining(config, formulation, dataset)
