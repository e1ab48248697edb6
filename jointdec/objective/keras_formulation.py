"""What the formulations in Keras share: the user's model inside of one whose compiled loss is to be differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from jointdec.config import Config
from jointdec.dataset import map_leaves
from jointdec.objective.formulation import Formulation, Labels, Tensor
from jointdec.objective.heads import HeadLoss, Term, mean_of, sums_of
from jointdec.objective.measures import Measures
from jointdec.problem import Problem
from jointdec.problems.blame import blamed
from jointdec.problems.building import by_head


class Live:
    """Holds a Keras variable but is no layer or variable itself.

    So Keras does not count it among a model's weights, and the parameter counts stay those of the network. Only
    TensorFlow reads it anew in a compiled program; JAX bakes the value of the first trace in, so there a new value
    needs a new model.
    """

    def __init__(self, value: float, dtype: str, name: str) -> None:
        self.variable = keras.Variable(value, trainable=False, dtype=dtype, name=name)

    def set(self, value: float) -> None:
        """Give it another value."""
        self.variable.assign(value)


class RecordedModel(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """A model of outputs by head, whose logs are each batch's own losses: ``loss``, the heads, the terms.

    Keras's own log of a loss is the running mean of the epoch.

    Args:
        inner: the user's.
        formulation: whose losses are logged.
    """

    def __init__(self, inner: keras.Model, formulation: KerasFormulation) -> None:
        super().__init__(name=f"{inner.name}_objective", dtype=formulation.dtype)
        self.inner, self.formulation = inner, formulation
        self.last_losses = {name: Last(name) for name in formulation.curves}

    def call(self, x: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        """The inner model's outputs by head, in the dtype of labels and losses."""
        formulation = self.formulation
        outputs = by_head(self.inner(x, training=training), self.inner, formulation.problem)
        return {head: ops.cast(output, formulation.dtype) for head, output in outputs.items()}

    def compute_loss(
        self,
        x: Tensor = None,
        y: Labels | None = None,
        y_pred: Labels | None = None,
        sample_weight: Labels | None = None,
        training: bool = True,
    ) -> Tensor:
        """Keras's own, which wants an entry of ``sample_weight`` for every head, where there are any."""
        if sample_weight is not None and y_pred is not None:
            sample_weight = {head: sample_weight.get(head) for head in y_pred}
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def compute_metrics(self, x: Tensor, y: Labels, y_pred: Labels, sample_weight: Any = None) -> dict[str, Any]:  # noqa: ANN401
        """What every backend's ``train_step`` calls at its end."""
        # The terms are computed a second time for the curves: XLA merges equal subexpressions, so they cost nothing.
        for name, value in self.formulation.loss(y, y_pred, sample_weight).items():
            self.last_losses[name].update_state(value)
        return {name: last.result() for name, last in self.last_losses.items()}


class Last(keras.metrics.Metric):  # type: ignore[misc]  # Keras ships no types
    """The last value, not a mean."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self._value = self.add_variable((), initializer="zeros", name="value")

    def update_state(self, value: Tensor) -> None:
        """Take a scalar."""
        self._value.assign(value)

    def result(self) -> Tensor:
        """The scalar."""
        return ops.convert_to_tensor(self._value)


class Cost(keras.losses.Loss):  # type: ignore[misc]  # Keras ships no types
    """A loss that is given the labels' weights, too, and whose number Keras takes as it is.

    Keras's own mean of weighted values would turn an infinite one that does not count into NaN.
    """

    def __init__(self, cost: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__(reduction=None)
        self._cost = cost

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        """What Keras calls for each head."""
        return self._cost(y_true, y_pred, sample_weight)


def mean_cost(values: Callable[[Tensor, Tensor], Tensor]) -> Cost:
    """A Keras loss: the mean of these values a place over what is there."""
    return Cost(lambda y, y_pred, weight: mean_of(values(y, y_pred), weight))


class KerasFormulation(Formulation):
    """A Keras model; a subclass says how its loss is made.

    Attributes:
        model_class: the Keras class of the model, for formulations that override ``compute_loss``.
        inner: the problem's model.
        model: the one around it, which `compile_model` has compiled.
        loss_weights, term_weights: live weights of heads and terms.
        losses: each head's, see `HeadLoss`.
    """

    model_class: type[RecordedModel] = RecordedModel

    def __init__(self, problem: Problem, config: Config, x: Any = None) -> None:  # noqa: ANN401 (a tree of arrays)
        self.problem = problem
        self.dtype = "float64" if config.training.precision == "float64" else "float32"
        keras.config.set_floatx(self.dtype)  # compile(loss=...) casts to it, whatever the layers compute in
        self.loss_weights = {
            head: Live(weight, self.dtype, f"loss_weight_{head}") for head, weight in config.loss.weights.items()
        }
        self.term_weights = {
            term: Live(weight, self.dtype, f"term_weight_{term}") for term, weight in config.loss.terms.items()
        }
        self._live = {key: Live(getattr(config.model, key), self.dtype, key) for key in problem.live}
        self.inner = problem.build(config, self._live)
        self.model = self.model_class(self.inner, self)
        self.terms = {name: Term(name, function, "term", problem.where) for name, function in problem.terms.items()}
        self.losses = {
            name: HeadLoss(name, head, tuple(shape[1:]), problem.where)
            for (name, head), shape in zip(problem.heads.items(), self._shapes(x), strict=True)
        }
        self._try_terms()
        self.variables = problem.variables(self.inner, config)
        self.compile_model()

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """Compile the model with this formulation's loss and Keras's other options (optimizer, metrics...)."""
        raise NotImplementedError

    def trained_model(self) -> keras.Model:
        """See `Formulation.trained_model`."""
        return self.inner

    def heads(self, x: Tensor) -> dict[str, Tensor]:
        """See `Formulation.heads`."""
        heads: dict[str, Tensor] = self.model(x, training=False)
        return heads

    def labels(self, labels: Labels, dtype: str) -> dict[str, Tensor]:
        """See `Formulation.labels`."""
        return {head: self.losses[head].labels(array, dtype) for head, array in labels.items()}

    def loss(self, labels: Labels, heads: Labels, weights: Labels | None = None) -> dict[str, Tensor]:
        """See `Formulation.loss`; the total is what the model's own ``compute_loss`` returns."""
        total = self.model.compute_loss(y=labels, y_pred=heads, sample_weight=weights)
        return {"loss": total, **self.means(labels, heads, weights)}

    def sums(self, labels: Labels, heads: Labels, weights: Labels) -> dict[str, tuple[Tensor, Tensor]]:
        """See `Formulation.sums`."""
        size = ops.cast(ops.shape(next(iter(heads.values())))[0], self.dtype)
        losses = self.loss(labels, heads, weights or None)
        if weights:  # what the total has besides heads and terms, as of regularisers; see `total_of`
            losses["loss"] -= sum(live.variable * losses[name] for name, live in self._live_weights().items())
        found = {name: (value * size, size) for name, value in losses.items()}
        for name, values, there in self._places(labels, heads, weights) if weights else ():
            if there is not None:
                found[name] = sums_of(values, there)
        return found

    def total_of(self, means: Mapping[str, float]) -> float:
        """See `Formulation.total_of`."""
        live = {name: float(ops.convert_to_numpy(live.variable)) for name, live in self._live_weights().items()}
        return means["loss"] + sum(weight * means[name] for name, weight in live.items())

    def values(self, loss: HeadLoss, y: Tensor, y_pred: Tensor) -> Tensor:
        """A head's loss a place: here what the problem says."""
        return loss.values(y, y_pred)

    def means(self, labels: Labels, heads: Labels, weights: Labels | None) -> dict[str, Tensor]:
        """The curves of heads and terms: each one's mean, unweighted."""
        places = self._places(labels, heads, weights or {})
        return {name: mean_of(values, there) for name, values, there in places}

    def total(self, labels: Labels, heads: Labels, weights: Labels | None) -> Tensor:
        """The sum over heads and terms of weight x mean."""
        live = self._live_weights()
        return sum(live[name].variable * mean for name, mean in self.means(labels, heads, weights).items())

    def set_live(self, config: Config) -> None:
        """See `Formulation.set_live`."""
        for key, live in self._live.items():
            live.set(getattr(config.model, key))
        for name, weight in {**config.loss.weights, **config.loss.terms}.items():
            self._live_weights()[name].set(weight)

    def _live_weights(self) -> dict[str, Live]:
        """Of heads and terms, which share no name."""
        return {**self.loss_weights, **self.term_weights}

    def _places(self, labels: Labels, heads: Labels, weights: Labels) -> Iterator[tuple[str, Tensor, Tensor | None]]:
        """Of each head and term its name, the values a place, and their weights, if labels may be missing."""
        for name, loss in self.losses.items():
            yield name, self.values(loss, labels[name], heads[name]), weights.get(name)
        for name, term in self.terms.items():
            yield name, *term.values(labels, heads, weights)

    def _try_terms(self) -> None:
        """Terms and metrics are tried on zeros, so that a mistake in one is told before there is a run."""
        zeros = {name: loss.zeros() for name, loss in self.losses.items()}
        labels, outputs = ({name: pair[place] for name, pair in zeros.items()} for place in range(2))
        for term in self.terms.values():
            term.values(labels, outputs, {})
        Measures(self.problem).sums(labels, outputs, {})

    def _shapes(self, x: Any) -> list[tuple[int, ...]]:  # noqa: ANN401
        """Build the model, without a number; the shapes of its outputs in the order of the heads."""
        inputs = self.inner.inputs if x is None else map_leaves(self._symbol, x)
        if isinstance(inputs, list) and len(inputs) == 1:
            inputs = inputs[0]
        with blamed(f"The model of model() in {self.problem.where}"):
            by_head(self.inner(inputs), self.inner, self.problem)  # a mistake is told before Keras has words for it
            outputs = self.model(inputs)
        return [tuple(outputs[head].shape) for head in self.problem.heads]

    def _symbol(self, array: npt.NDArray[Any]) -> keras.KerasTensor:
        dtype = self.dtype if array.dtype.kind == "f" else array.dtype.name
        return keras.KerasTensor((None, *array.shape[1:]), dtype)

    def _numpy_heads(self, x: Any) -> dict[str, npt.NDArray[np.floating]]:  # noqa: ANN401 (a tree of arrays)
        return {head: ops.convert_to_numpy(logits) for head, logits in self.heads(x).items()}
