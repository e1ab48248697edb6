"""Trainings to run trials on: what is compiled once is used by every trial that it fits."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from jointdec.config import Config
from jointdec.dataset import Dataset, silent
from jointdec.objective.formulation import Formulation, make_formulation
from jointdec.problems import find
from jointdec.training import make_training
from jointdec.training.fitting_labels import fit_labels
from jointdec.training.loop import Loop

KEPT = 8  # programs; each takes some 100 MB


class Program(NamedTuple):
    """Something to train: data, formulation, loop."""

    dataset: Dataset
    formulation: Formulation
    training: Loop


class Programs:
    """Keeps the programs that were used last, and the data."""

    def __init__(self) -> None:
        self._programs: OrderedDict[str, Program] = OrderedDict()
        self._datasets: dict[str, Dataset] = {}
        self.compiled = 0

    def get(self, config: Config) -> Program:
        """A program that trains this configuration from its initial weights."""
        from jointdec.training.problem_loop import CompiledTraining, compiled_for

        if config.training.name != "compiled" or config.loss.name == "tf1_graph":
            return self._make(config)
        key = repr(compiled_for(config))
        if key in self._programs:
            program = self._programs[key]
            assert isinstance(program.training, CompiledTraining)
            program.training.start_over(config)
        else:
            program = self._programs[key] = self._make(config)
        self._programs.move_to_end(key)
        if len(self._programs) > KEPT:
            self._programs.popitem(last=False)
        return program

    def _make(self, config: Config) -> Program:
        self.compiled += 1
        dataset = self._data(config)
        formulation = make_formulation(config, dataset.train.x)
        dataset = fit_labels(dataset, formulation)
        return Program(dataset, formulation, make_training(config, formulation, dataset))

    def _data(self, config: Config) -> Dataset:
        key = repr(config.data)
        if key not in self._datasets:
            self._datasets[key] = find(config.problem).load(config.data, silent)
        return self._datasets[key]
