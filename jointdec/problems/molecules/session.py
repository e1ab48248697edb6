"""The loop of ``loss=tf1_graph``: a ``Session.run`` with a ``feed_dict`` every step, as TensorFlow 1 had it.

The batches and their order are those of the other loops; the last, incomplete batch is trained on as it is.
"""

from __future__ import annotations

import numpy as np

from jointdec.config import Config
from jointdec.dataset import Dataset, Split
from jointdec.problems.molecules.tf1_graph import Tf1Graph
from jointdec.training.evaluation import evaluate_batchwise
from jointdec.training.feed import CHUNK
from jointdec.training.from_config import layers_of, policy_of
from jointdec.training.loop import Loop, Steps
from jointdec.training.order import batch_order
from jointdec.training.state import State


class SessionTraining(Loop):
    """Trains a `Tf1Graph`. Nothing is compiled."""

    columns = ("loss", "nodes", "edges")
    capacity = CHUNK

    def __init__(self, config: Config, formulation: Tf1Graph, dataset: Dataset) -> None:
        super().__init__(len(dataset.train), config.training.batch_size, policy_of(config), dataset.val)
        self._config, self._formulation, self._train = config, formulation, dataset.train
        self.layers = layers_of(formulation)
        self._labels = formulation.labels(dataset.train.y, "float32")

    def run_steps(self, epoch: int, first: int, stop: int, norms: int) -> Steps:
        """See `Loop.run_steps`. The graph takes the norms in every step."""
        order = batch_order(self._config.seed, epoch, self._size, reshuffle=self._config.training.reshuffle)
        rows = []
        for step in range(first, stop):
            batch = order[step * self._batch_size : (step + 1) * self._batch_size]
            labels = {head: array[batch] for head, array in self._labels.items()}
            rows.append(self._formulation.step(self._train.x[batch], labels))
            if self.stops and not np.isfinite(rows[-1][: len(self.columns)]).all():
                break
        return self.every_step(epoch, first, np.array(rows), norms)

    def evaluate(self, examples: Split) -> dict[str, float]:
        """See `Loop.evaluate`."""
        return evaluate_batchwise(self._formulation, examples)

    def state(self) -> State:
        """See `Loop.state`."""
        return State(self._formulation.get_state())

    def restore(self, state: State) -> None:
        """See `Loop.restore`."""
        self._formulation.set_state(state.values)

    def sound(self) -> bool:
        """See `Loop.sound`."""
        return all(np.isfinite(value).all() for value in self._formulation.get_state().values())
