"""What heads and terms cost and how right they are, before any weight: one value a place, and their mean.

    mean_h = sum over what is there of (weight * value) / sum of the weights,  0 where nothing is there

Without weights it is the plain mean over all examples and places. Keras operations only, so every backend runs them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from jointdec.errors import BadProblem, did_you_mean
from jointdec.labels import places_of
from jointdec.problems.blame import blamed

if TYPE_CHECKING:
    from jointdec.problem import Head

Tensor = Any  # of whichever backend Keras runs on
PROBE = 2  # examples in a trial of a function of the user's


class HeadLoss:
    """A head's loss.

    Args:
        name: the head's.
        head: its declaration.
        shape: its output's, without the batch.
        where: the user's file, for messages.

    Attributes:
        places: the shape of its values, without the batch.
    """

    def __init__(self, name: str, head: Head, shape: tuple[int, ...], where: str) -> None:
        self.name, self.head, self.shape, self._where = name, head, shape, where
        self._refuse_probabilities()
        self._function = (
            self._of_name(head.loss) if head.loss is None or isinstance(head.loss, str) else _plain(head.loss)
        )
        self.places = self._probe()

    def labels(self, labels: Tensor, dtype: str) -> Tensor:
        """Labels as losses and metrics take them: class indices as int32, of distributions, all others as floats."""
        if self.head.kind == "classes":
            return ops.cast(labels, "int32")
        if self.head.kind == "distribution" and len(labels.shape) == len(self.shape):  # indices: of a place one number
            return ops.one_hot(ops.cast(labels, "int32"), self.shape[-1], dtype=dtype)
        return ops.cast(labels, dtype)

    def values(self, y: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each place, (B, *places).

        Args:
            y: what `labels` made, (B, ...).
            y_pred: the model's output, (B, *shape).
        """
        return self._function(self._whole(y), y_pred)

    def squared(self, y: Tensor, y_pred: Tensor) -> Tensor:
        """The squared error of each place, of classes against 1 for the true one and 0 for the others."""
        if self.head.kind == "classes":
            y = ops.one_hot(self._whole(y), self.shape[-1], dtype=y_pred.dtype)
        squares = ops.square(y - y_pred)
        return ops.mean(squares, axis=-1) if self.head.kind in ("classes", "distribution") else squares

    def zeros(self) -> tuple[Tensor, Tensor]:
        """Labels and outputs of some examples, all 0."""
        whole = self.head.kind == "classes"
        shape, dtype = (places_of(self.head, self.shape), "int32") if whole else (self.shape, keras.config.floatx())
        return ops.zeros((PROBE, *shape), dtype), ops.zeros((PROBE, *self.shape), keras.config.floatx())

    def _whole(self, y: Tensor) -> Tensor:
        """Class indices as whole numbers: Keras makes floats of all labels before it hands them to a loss."""
        return ops.cast(y, "int32") if self.head.kind == "classes" else y

    def _of_name(self, name: str | None) -> Callable[[Tensor, Tensor], Tensor]:
        kind = self.head.kind
        if name is None or name in DEFAULTS[kind][1]:
            return DEFAULTS[kind][0]
        try:
            function: Any = _plain(keras.losses.get(name))
        except (ValueError, TypeError) as error:
            raise BadProblem(
                f"The loss of the head {self.name!r} in {self._where} is {name!r}{did_you_mean(name, LOSS_NAMES)}, "
                "which is no loss of Keras's."
            ) from error
        if "from_logits" in _parameters(function):
            return self._fitting(name, partial(function, from_logits=True))
        if "hinge" in name.lower():  # takes scores, not probabilities
            return self._fitting(name, function)
        return self._fitting(name, lambda y, y_pred: function(y, predictions(kind, y_pred)))

    def _refuse_probabilities(self) -> None:
        """Refuse a cross-entropy of Keras's that takes the logits for probabilities, and would say nothing.

        Raises:
            BadProblem: it is one.
        """
        loss = self.head.loss
        if loss is None or isinstance(loss, str) or self.head.kind == "real":
            return
        function = getattr(loss, "fn", loss)
        if not getattr(function, "__module__", "").startswith("keras.") or "from_logits" not in _parameters(function):
            return
        if not getattr(loss, "_fn_kwargs", {}).get("from_logits", False):
            raise BadProblem(
                f"The loss of the head {self.name!r} in {self._where} takes probabilities (from_logits=False), but the "
                f"head's outputs are logits: write loss={function.__name__!r}, which takes logits here, or give it "
                "from_logits=True."
            )

    def _fitting(self, name: str, function: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        """A loss of Keras's that gives each place a value of its own."""
        kind = self.head.kind
        if kind == "classes" and "sparse" not in name.lower():
            return lambda y, y_pred: function(ops.one_hot(y, self.shape[-1], dtype=y_pred.dtype), y_pred)
        if kind in ("classes", "distribution") or name in WHOLE_VECTORS:
            return function
        # Keras takes the mean over the last axis: an axis of one is given, so that every place keeps its own value
        return lambda y, y_pred: function(y[..., None], y_pred[..., None])

    def _probe(self) -> tuple[int, ...]:
        """Try the loss on zeros; what comes out says which places it has.

        Raises:
            BadProblem: it fails, or does not give a value for each example.
        """
        what = f"The loss of the head {self.name!r} in {self._where}"
        with blamed(what):
            values = self._function(*self.zeros())
            shape = tuple(ops.shape(ops.convert_to_tensor(values)))
        if not shape or shape[0] != PROBE:
            given = f"the shape {shape} for a batch of {PROBE}" if shape else "one number"
            raise BadProblem(
                f"{what} gives {given}, but must give a value for each place, (B, ...): leave the mean to jointdec."
            )
        return tuple(int(side) for side in shape[1:])


def predictions(kind: str, outputs: Tensor) -> Tensor:
    """What outputs say: probabilities of logits, rates of their logarithms."""
    if kind in ("classes", "distribution"):
        return ops.softmax(outputs)
    return {"multilabel": ops.sigmoid, "counts": ops.exp}.get(kind, lambda same: same)(outputs)


def mean_of(values: Tensor, weights: Tensor | None) -> Tensor:
    """The mean of the module: values (B, *places), weights (B, *places) or None.

    The weights' shape may go on beyond the values', as where a loss takes all of a row's numbers together: a row then
    counts by its smallest.
    """
    if weights is None:
        return ops.mean(values)
    total, count = sums_of(values, weights)
    return ops.where(count > 0, total / ops.where(count > 0, count, ops.ones_like(count)), ops.zeros_like(total))


def sums_of(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Numerator and denominator of the weighted mean."""
    while len(weights.shape) > len(values.shape):
        weights = ops.min(weights, axis=-1)
    while len(weights.shape) < len(values.shape):
        weights = weights[..., None]
    weights = ops.broadcast_to(ops.cast(weights, values.dtype), ops.shape(values))
    there = weights > 0
    weighted = ops.where(there, ops.where(there, values, ops.zeros_like(values)) * weights, ops.zeros_like(values))
    return ops.sum(weighted), ops.sum(weights)


class Seen(dict[str, Any]):
    """A dict that remembers what it was asked for."""

    def __init__(self, values: Mapping[str, Any], what: str) -> None:
        super().__init__(values)
        self._what = what
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 (a tensor)
        if key not in self:
            raise BadProblem(
                f"{self._what} asks for the head {key!r}{did_you_mean(str(key), list(self))}; there are "
                f"{', '.join(self)}."
            )
        self.asked.add(key)
        return super().__getitem__(key)


class Term:
    """A loss over several heads, or a metric over them: one value an example.

    Args:
        name: its own.
        function: ``(y, y_pred) -> (B,)``.
        what: "term" or "metric".
        where: the user's file.
    """

    def __init__(self, name: str, function: Callable[..., Any], what: str, where: str) -> None:
        self.name, self._function = name, function
        self._what = f"The {what} {name!r} in {where}"

    def values(
        self, y: Mapping[str, Tensor], y_pred: Mapping[str, Tensor], weights: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """The value of each example, (B,), and its weight, if labels that it reads may be missing.

        Raises:
            BadProblem: the function fails, asks for an unknown head, or gives another shape.
        """
        labels, outputs = Seen(y, self._what), Seen(y_pred, self._what)
        with blamed(self._what):
            values = ops.convert_to_tensor(self._function(labels, outputs))
        if len(values.shape) == 2 and values.shape[-1] == 1:
            values = values[:, 0]
        if len(values.shape) != 1:
            given = f"an array of {len(values.shape)} dimensions" if len(values.shape) else "one number"
            raise BadProblem(f"{self._what} gives {given}, but must give one value an example, (B,).")
        read = [weights[head] for head in sorted(labels.asked) if head in weights]
        if not read:
            return values, None
        there = ops.ones_like(values, dtype="float32")
        for weight in read:
            present = ops.cast(weight > 0, "float32")
            there = there * ops.min(ops.reshape(present, (-1, int(np.prod(present.shape[1:])))), axis=1)
        return values, there


def _plain(loss: Any) -> Callable[[Tensor, Tensor], Tensor]:  # noqa: ANN401 (a function, or an object of Keras's)
    """A loss as a function of a value a place: of an object of Keras's what comes before its mean."""
    return loss.call if isinstance(loss, keras.losses.Loss) else loss  # type: ignore[no-any-return]  # Keras ships no types


def _parameters(function: Callable[..., Any]) -> Collection[str]:
    return inspect.signature(function).parameters


def _sparse(y: Tensor, y_pred: Tensor) -> Tensor:
    return ops.sparse_categorical_crossentropy(y, y_pred, from_logits=True)


def _dense(y: Tensor, y_pred: Tensor) -> Tensor:
    return ops.categorical_crossentropy(y, y_pred, from_logits=True)


def _squares(y: Tensor, y_pred: Tensor) -> Tensor:
    return ops.square(y - y_pred)


def _binary(y: Tensor, y_pred: Tensor) -> Tensor:
    """log(1 + exp(z)) - y z, the cross-entropy of a logit z; the softplus neither overflows nor has a kink at 0."""
    return ops.softplus(y_pred) - y * y_pred


def _poisson(y: Tensor, y_pred: Tensor) -> Tensor:
    """exp(z) - y z, Poisson's negative log-likelihood of a rate exp(z) but for the constant log(y!)."""
    return ops.exp(y_pred) - y * y_pred


CROSS_ENTROPIES = (
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
)
DEFAULTS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], tuple[str, ...]]] = {  # and the names that mean it
    "classes": (_sparse, CROSS_ENTROPIES),
    "distribution": (_dense, CROSS_ENTROPIES),
    "real": (_squares, ("mse", "mean_squared_error", "MSE", "MeanSquaredError")),
    "multilabel": (_binary, ("binary_crossentropy", "BinaryCrossentropy")),
    "counts": (_poisson, ("poisson", "Poisson")),
}
WHOLE_VECTORS = ("cosine_similarity", "CosineSimilarity")
LOSS_NAMES = [
    "mse",
    "mae",
    "mape",
    "msle",
    "huber",
    "log_cosh",
    "hinge",
    "poisson",
    "binary_crossentropy",
    *CROSS_ENTROPIES,
]
