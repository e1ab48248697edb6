"""The loop of ``loss=tf1_graph``: a ``Session.run`` with a ``feed_dict`` every step, as TensorFlow 1 had it.

The batches and their order are those of the other loops; the last, incomplete batch is trained on as it is.
"""

from __future__ import annotations

import time

import numpy as np

from jointdec.config import Config
from jointdec.data.dataset import Dataset, Split
from jointdec.losses.tf1_graph import Tf1Graph
from jointdec.training.batchwise import dense_labels, evaluate_batchwise
from jointdec.training.order import batch_order
from jointdec.training.result import STEP_METRICS, EpochResult, training_means


class SessionTraining:
    """Trains a `Tf1Graph`, an epoch a call. Nothing is compiled."""

    compile_seconds = 0.0

    def __init__(self, config: Config, formulation: Tf1Graph, dataset: Dataset) -> None:
        self._formulation, self._dataset = formulation, dataset
        self._seed, self._batch_size = config.seed, config.training.batch_size
        self._labels = dense_labels(dataset.train)

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train on every molecule once, in the order of (seed, epoch), then evaluate the validation split."""
        train, rows = self._dataset.train, []
        order = batch_order(self._seed, epoch, len(train))
        start = time.perf_counter()
        for first in range(0, len(train), self._batch_size):
            batch = order[first : first + self._batch_size]
            labels = {head: array[batch] for head, array in self._labels.items()}
            rows.append(self._formulation.step(train.features[batch], labels))
        seconds = time.perf_counter() - start
        steps = {name: np.array([row[name] for row in rows]) for name in STEP_METRICS}
        return EpochResult(
            epoch=epoch,
            first_step=epoch * len(rows),
            steps=steps,
            train=training_means(steps, len(train), self._batch_size),
            val=self.evaluate(self._dataset.val),
            seconds=seconds,
        )

    def evaluate(self, split: Split) -> dict[str, float]:
        """Means over a split: loss, nodes, edges, node_accuracy, edge_accuracy, exact."""
        return evaluate_batchwise(self._formulation, split, lambda array, dtype: array.astype(dtype), float)
