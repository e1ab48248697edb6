"""The loop of ``loss=tf1_graph``: a ``Session.run`` with a ``feed_dict`` every step, as TensorFlow 1 had it.

The batches and their order are those of the other loops; the last, incomplete batch is trained on as it is.
"""

from __future__ import annotations

import numpy as np

from jointdec.config import Config
from jointdec.data.dataset import Dataset, Split
from jointdec.losses.tf1_graph import Tf1Graph
from jointdec.training.batchwise import dense_labels, evaluate_batchwise
from jointdec.training.loop import Loop, Rows
from jointdec.training.result import STEP_METRICS
from jointdec.training.state import State


class SessionTraining(Loop):
    """Trains a `Tf1Graph`, an epoch a call. Nothing is compiled."""

    def __init__(self, config: Config, formulation: Tf1Graph, dataset: Dataset) -> None:
        super().__init__(config, dataset)
        self._formulation = formulation
        self._labels = dense_labels(dataset.train)

    def run_steps(self, epoch: int, first: int, stop: int) -> Rows:
        """See `Loop.run_steps`."""
        rows = np.empty((stop - first, len(STEP_METRICS) + len(self._layers)))
        order = self.order(epoch)
        for step in range(first, stop):
            batch = order[step * self._batch_size : (step + 1) * self._batch_size]
            labels = {head: array[batch] for head, array in self._labels.items()}
            rows[step - first] = self._formulation.step(self._dataset.train.features[batch], labels)
            if self.stops and not np.isfinite(rows[step - first]).all():
                return rows[: step - first + 1]
        return rows

    def evaluate(self, split: Split) -> dict[str, float]:
        """See `Loop.evaluate`."""
        return evaluate_batchwise(self._formulation, split, lambda array, dtype: array.astype(dtype), float)

    def state(self) -> State:
        """See `Loop.state`."""
        moments = self._formulation.get_moments()
        first, second = (moments.get(name, {}) for name in ("first", "second"))
        return State(self._formulation.get_weights(), first, second, self._formulation.iterations)

    def restore(self, state: State) -> None:
        """See `Loop.restore`."""
        self._formulation.set_weights(state.weights)
        self._formulation.set_optimizer({"first": state.first, "second": state.second}, state.iterations)
