"""Specimens: losses and models that are kept because they are wrong.

A specimen declares in its configuration what becomes of it. It trains like any other configuration, and afterwards its
declaration is held against what happened: a declaration that does not come true is an error of jointdec's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jointdec.config import Config
from jointdec.dataset import Dataset, Split
from jointdec.training.result import EpochResult, diverged_at

if TYPE_CHECKING:
    from jointdec.objective.formulation import Formulation

ACCURACIES = {"nodes": "node_accuracy", "edges": "edge_accuracy"}


class Finding(NamedTuple):
    """What became of a specimen: one of what `SpecimenConfig.expects` may list, and the evidence in a sentence."""

    kind: str
    evidence: str


def find(
    config: Config,
    formulation: Formulation,
    dataset: Dataset,
    results: Sequence[EpochResult],
    failures: Sequence[Exception],
) -> Finding | None:
    """The first finding that the specimen declares and that came true, or None.

    Args:
        config: a configuration with a specimen.
        formulation: as it is after training.
        dataset: what it was trained on.
        results: the epochs.
        failures: what the training raised, if it did, and what `eager_failure` gives.
    """
    specimen = config.specimen
    assert specimen is not None
    if failures:
        return _error(specimen.pattern, failures) if "error" in specimen.expects else None
    checks = {
        "nan": lambda: _nan(results),
        "no_learning": lambda: _no_learning(dataset, results),
        "ignored_molecules": lambda: _ignored_molecules(config, formulation, dataset),
    }
    findings = (checks[kind]() for kind in specimen.expects if kind in checks)
    return next((finding for finding in findings if finding), None)


def eager_failure(config: Config, formulation: Formulation, dataset: Dataset) -> Exception | None:
    """What the first batch raises outside of a graph: a graph and XLA word some errors differently."""
    batch = _first_batch(config, dataset)
    try:
        formulation.loss(formulation.labels(batch.y, "float32"), formulation.heads(batch.x))
    except Exception as error:
        return error
    return None


def _error(pattern: str, failures: Sequence[Exception]) -> Finding | None:
    for error in failures:
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # Keras prints some words in bold
        if found := re.search(f".*?({pattern}).*", text):
            return Finding("error", f"{type(error).__name__}: {found.group().strip()}")
    return None


def _nan(results: Sequence[EpochResult]) -> Finding | None:
    step = diverged_at(results)
    return None if step is None else Finding("nan", f"The first value that is not finite came in step {step}.")


def _no_learning(dataset: Dataset, results: Sequence[EpochResult]) -> Finding | None:
    """A head that ends no better than one that never looks at its input and says each place's most frequent class."""
    for head, metric in ACCURACIES.items():
        reached, constant = results[-1].val[metric], constant_accuracy(dataset, head)
        if reached <= constant:
            return Finding(
                "no_learning",
                f"After {len(results)} epochs the {head} head is right on {reached:.1%} of the validation split; "
                f"saying each place's most frequent class, always, is right on {constant:.1%}.",
            )
    return None


def constant_accuracy(dataset: Dataset, head: str) -> float:
    """Share of the validation split's labels of a head that the training split's most frequent ones get right.

    Each of the 9 atoms or 36 pairs above the diagonal has its own most frequent class.
    """
    train, val = (_classes(split, head) for split in (dataset.train, dataset.val))
    most_frequent = np.array([np.bincount(place).argmax() for place in train.T])
    return float((val == most_frequent).mean())


def _classes(split: Split, head: str) -> npt.NDArray[np.integer]:
    """Class indices (n, 9) or (n, 36)."""
    labels: npt.NDArray[Any] = split.y[head]
    labels = labels if head == "nodes" else labels[:, *np.triu_indices(labels.shape[1], k=1)]
    return labels if labels.ndim == 2 else labels.argmax(-1)


def _ignored_molecules(config: Config, formulation: Formulation, dataset: Dataset) -> Finding | None:
    """Molecules of a batch whose features have gradient 0: whatever they were, the loss would be the same."""
    import tensorflow as tf

    batch = _first_batch(config, dataset)
    features = tf.constant(batch.x)
    with tf.GradientTape() as tape:
        tape.watch(features)
        loss = formulation.loss(formulation.labels(batch.y, "float32"), formulation.heads(features))["loss"]
    gradient = tape.gradient(loss, features).numpy()
    ignored = int((gradient == 0).all(axis=1).sum())
    if not ignored:
        return None
    return Finding(
        "ignored_molecules", f"In a batch of {len(batch)} molecules the loss does not depend on {ignored} of them."
    )


def _first_batch(config: Config, dataset: Dataset) -> Split:
    return dataset.train.rows(np.arange(min(config.training.batch_size, len(dataset.train))))
