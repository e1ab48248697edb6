"""A data set's labels in the shapes that the model's outputs ask for."""

from __future__ import annotations

from dataclasses import replace

from jointdec.dataset import Dataset
from jointdec.labels import fitted
from jointdec.objective.formulation import Formulation
from jointdec.objective.keras_formulation import KerasFormulation


def fit_labels(dataset: Dataset, formulation: Formulation) -> Dataset:
    """The data set, checked against the model.

    Raises:
        BadProblem: labels or weights have another shape than the outputs ask for.
    """
    if not isinstance(formulation, KerasFormulation):
        return dataset  # of molecules, whose shapes are known
    problem = formulation.problem
    shapes = {head: loss.shape for head, loss in formulation.losses.items()}
    fit = dataset.with_splits(
        {
            name: fitted(split, problem.heads, shapes, f"the {name} split of {problem.where}")
            for name, split in dataset.splits.items()
        }
    )
    return replace(fit, identity=dataset.digest)  # a replay knows the data before it has a model
