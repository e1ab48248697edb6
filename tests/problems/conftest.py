"""A problem's whole way in one process: command line, data, formulation, training."""

from dataclasses import dataclass
from typing import Any

import pytest


@dataclass
class Training:
    """What a training has, and the losses of all its steps by name."""

    config: Any
    dataset: Any
    formulation: Any
    loop: Any
    losses: dict[str, Any]

    def test(self):
        """The losses and metrics of the test split."""
        return self.loop.evaluate(self.dataset.test)


@pytest.fixture(scope="session")
def train(configured):
    """``train("problem=penguins", "training.epochs=2")``, recorded nowhere."""
    return lambda *typed: trained(configured(*typed))


def trained(config, dataset=None):
    import numpy as np

    from jointdec.dataset import silent
    from jointdec.objective.formulation import make_formulation
    from jointdec.problems import find
    from jointdec.training import make_training
    from jointdec.training.from_config import fit_labels

    dataset = dataset or find(config.problem).load(config.data, silent)
    formulation = make_formulation(config, dataset.train.x)
    dataset = fit_labels(dataset, formulation)
    loop = make_training(config, formulation, dataset)
    epochs = [loop.run_epoch(epoch).steps for epoch in range(config.training.epochs)]
    losses = {name: np.concatenate([steps[name] for steps in epochs]) for name in formulation.curves}
    return Training(config, dataset, formulation, loop, losses)
