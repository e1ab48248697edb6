"""How right outputs are: the metrics of heads and of a whole problem, as sums that add up over chunks of examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from jointdec.errors import BadProblem
from jointdec.objective.heads import Term, mean_of, predictions, sums_of
from jointdec.problems.blame import blamed

if TYPE_CHECKING:
    from jointdec.problem import Head, Problem

Tensor = Any  # of whichever backend Keras runs on
Tensors = Mapping[str, Tensor]
Sums = dict[str, tuple[Tensor, Tensor]]  # name -> numerator, denominator


class Measures:
    """The metrics of a problem.

    Attributes:
        names: of the metrics that `sums` gives.
        stateful: Keras's own metrics, which `update` feeds, by name.
    """

    def __init__(self, problem: Problem) -> None:
        self._heads = problem.heads
        self._of_head: dict[str, tuple[str, Callable[[Tensor, Tensor], Tensor]]] = {}
        self.stateful: dict[str, tuple[str, keras.metrics.Metric]] = {}
        for name, head in problem.heads.items():
            for metric in head.measured:
                self._add(name, head, metric, problem.where)
        self._over_all = {
            name: Term(name, function if callable(function) else self._all_right, "metric", problem.where)
            for name, function in problem.metrics.items()
        }
        self.names = (*self._of_head, *self._over_all)

    def sums(self, labels: Tensors, outputs: Tensors, weights: Tensors) -> Sums:
        """Numerator and denominator of each metric over a chunk.

        Args:
            labels: by head, as `jointdec.objective.heads.HeadLoss.labels` makes them.
            outputs: by head.
            weights: of labels, (B, *places), by head; heads that lack none are left out.
        """
        found: Sums = {}
        for name, (head, function) in self._of_head.items():
            with blamed(f"The metric {name!r}"):
                values = ops.cast(function(labels[head], outputs[head]), exact_dtype())
            found[name] = _sums(values, weights.get(head))
        for name, term in self._over_all.items():
            values, there = term.values(labels, outputs, weights)
            found[name] = _sums(ops.cast(values, exact_dtype()), there)
        return found

    def update(self, labels: Tensors, outputs: Tensors, weights: Tensors) -> None:
        """Feed Keras's own metrics with a chunk: labels and predictions of all places one below the other."""
        for name, (head, metric) in self.stateful.items():
            kind, weight = self._heads[head].kind, weights.get(head)
            y, prediction = labels[head], ops.cast(predictions(kind, outputs[head]), "float32")  # Keras's, all of them
            if kind in ("classes", "distribution"):
                count = prediction.shape[-1]
                prediction = ops.reshape(prediction, (-1, count))
                sparse = "sparse" in type(metric).__name__.lower()
                if kind == "classes":
                    y = ops.reshape(y, (-1,)) if sparse else ops.one_hot(ops.reshape(y, (-1,)), count)
                else:
                    y = ops.argmax(ops.reshape(y, (-1, count)), axis=-1) if sparse else ops.reshape(y, (-1, count))
            elif weight is not None or len(prediction.shape) < 2:
                y, prediction = ops.reshape(y, (-1, 1)), ops.reshape(prediction, (-1, 1))
            weight = None if weight is None else ops.reshape(weight, (-1,))
            with blamed(f"The metric {name!r}"):
                metric.update_state(y, prediction, sample_weight=weight)

    def _add(self, name: str, head: Head, metric: Any, where: str) -> None:  # noqa: ANN401 (a name or a function)
        if callable(metric) and not isinstance(metric, keras.metrics.Metric | type):
            self._of_head[f"{name}_{getattr(metric, '__name__', 'metric')}"] = name, metric
            return
        if isinstance(metric, str) and metric in OWN.get(head.kind, {}):
            self._of_head[f"{name}_{metric}"] = name, OWN[head.kind][metric]
            return
        try:
            found = keras.metrics.get(metric)
        except (ValueError, TypeError) as error:
            raise BadProblem(
                f"The head {name!r} in {where} has the metric {metric!r}, which is none of Keras's."
            ) from error
        self.stateful[f"{name}_{metric if isinstance(metric, str) else found.name}"] = name, found

    def _all_right(self, y: Tensors, y_pred: Tensors) -> Tensor:
        """1 where every head of classes is right in all its places."""
        right = None
        for name, head in self._heads.items():
            if head.kind in ("classes", "distribution", "multilabel"):
                hit = accuracy_of(head.kind, y[name], y_pred[name])
                hit = ops.all(ops.reshape(hit, (ops.shape(hit)[0], -1)), axis=1)
                right = hit if right is None else ops.logical_and(right, hit)
        if right is None:
            raise BadProblem("The metric 'all_right' needs a head of classes, distribution or multilabel.")
        return right


def exact_dtype() -> str:
    """Of shares that are added up: float64 where the backend has it without being asked."""
    return "float64" if keras.backend.backend() == "tensorflow" else "float32"


def accuracy_of(kind: str, y: Tensor, y_pred: Tensor) -> Tensor:
    """Where a prediction is right, (B, *places); never where it is NaN."""
    if kind == "multilabel":
        return ops.equal(y_pred > 0, y > 0.5)
    true = y if kind == "classes" else ops.argmax(y, axis=-1)
    same = ops.equal(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), ops.cast(true, "int32"))
    return ops.logical_and(same, ops.logical_not(ops.any(ops.isnan(y_pred), axis=-1)))


def _sums(values: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    if weights is not None:
        return sums_of(values, weights)
    count = ops.cast(ops.size(values), values.dtype)
    return mean_of(values, None) * count, count


def _absolute(kind: str, y: Tensor, y_pred: Tensor) -> Tensor:
    return ops.abs(y - predictions(kind, y_pred))


def _squared(kind: str, y: Tensor, y_pred: Tensor) -> Tensor:
    return ops.square(y - predictions(kind, y_pred))


Values = Callable[[Tensor, Tensor], Tensor]
OWN: dict[str, dict[str, Values]] = {
    **{kind: {"accuracy": partial(accuracy_of, kind)} for kind in ("classes", "distribution", "multilabel")},
    **{kind: {"mae": partial(_absolute, kind), "mse": partial(_squared, kind)} for kind in ("real", "counts")},
}
