"""Losses and metrics of a whole split: in one compiled program, or chunk by chunk where TensorFlow does not train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jointdec.dataset import Split, leaves, map_leaves
from jointdec.objective.formulation import CHUNK, Formulation
from jointdec.objective.measures import Measures

if TYPE_CHECKING:
    import tensorflow as tf

Tensor = Any  # of whichever framework trains


class Examples(NamedTuple):
    """A split on the device: a tree of (n, ...), and by head labels and weights as they lie in `Split`."""

    x: Any
    y: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]


def on_device(split: Split, dtype: tf.DType) -> Examples:
    """Copy a split to the device; floats of x become ``dtype``."""
    import tensorflow as tf

    def moved(array: Any) -> Tensor:  # noqa: ANN401 (an array)
        return tf.constant(array, dtype if array.dtype.kind == "f" else None)

    fixed = {head: tf.constant(array) for head, array in split.y.items()}
    return Examples(map_leaves(moved, split.x), fixed, {h: tf.constant(w) for h, w in split.weights.items()})


class Evaluation:
    """Evaluates a formulation; splits of equal size share one compilation."""

    def __init__(self, formulation: Formulation, jit: bool) -> None:
        import tensorflow as tf

        self._tf, self._formulation = tf, formulation
        self._measures = Measures(formulation.problem)
        self._program = tf.function(self._sums, jit_compile=jit, autograph=False)
        update = partial(update_metrics, formulation, self._measures)
        self._update = tf.function(update, autograph=False, reduce_retracing=True)

    def __call__(self, data: Examples) -> dict[str, float]:
        """Means over the split: loss, heads, terms, metrics."""
        sums = {name: (float(a), float(b)) for name, (a, b) in self._program(*data).items()}
        found = means(self._formulation, sums, bool(data.weights))
        return found | keras_metrics(
            self._measures, len(next(leaves(data.x))), lambda rows: self._update(*_rows(data, rows))
        )

    def _sums(self, x: Any, y: Any, weights: Any) -> dict[str, tuple[Tensor, Tensor]]:  # noqa: ANN401 (trees of tensors)
        tf, data = self._tf, Examples(x, y, weights)
        size = next(leaves(x)).shape[0]
        chunk = min(size, CHUNK)
        names = (*self._formulation.curves, *self._measures.names)

        def add(first: Tensor, count: int, sums: Tensor) -> Tensor:
            indices = first + tf.range(count)
            examples = tf.nest.map_structure(lambda array: tf.gather(array, indices), tuple(data))
            found = chunk_sums(self._formulation, self._measures, *examples)
            return sums + tf.stack([[tf.cast(part, tf.float64) for part in found[name]] for name in names])

        _, sums = tf.while_loop(
            lambda i, _: i < size // chunk,
            lambda i, sums: (i + 1, add(i * chunk, chunk, sums)),
            (tf.constant(0), tf.zeros((len(names), 2), tf.float64)),
        )
        if size % chunk:
            sums = add(tf.constant(size - size % chunk), size % chunk, sums)
        return {name: (sums[place, 0], sums[place, 1]) for place, name in enumerate(names)}


def evaluate_batchwise(formulation: Formulation, split: Split) -> dict[str, float]:
    """Means over a split, as `Evaluation` gives them, on any of Keras's backends and in TensorFlow 1's graph."""
    measures, sums = Measures(formulation.problem), dict[str, tuple[float, float]]()
    for first in range(0, len(split), CHUNK):
        part = split.rows(slice(first, first + CHUNK))
        for name, (a, b) in chunk_sums(formulation, measures, part.x, part.y, part.weights).items():
            one, other = sums.get(name, (0.0, 0.0))
            sums[name] = one + _number(a), other + _number(b)

    def feed(rows: slice) -> None:
        part = split.rows(rows)
        update_metrics(formulation, measures, part.x, part.y, part.weights)

    return means(formulation, sums, bool(split.weights)) | keras_metrics(measures, len(split), feed)


def chunk_sums(
    formulation: Formulation,
    measures: Measures,
    x: Any,  # noqa: ANN401 (a tree of tensors)
    y: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
) -> dict[str, tuple[Tensor, Tensor]]:
    """Numerators and denominators of losses and metrics over some examples."""
    heads = formulation.heads(x)
    labels = formulation.labels(y, _dtype(heads))
    return {**formulation.sums(labels, heads, weights), **measures.sums(labels, heads, weights)}


def update_metrics(formulation: Formulation, measures: Measures, x: Any, y: Any, weights: Any) -> None:  # noqa: ANN401 (trees)
    """Show Keras's own metrics some examples."""
    heads = formulation.heads(x)
    measures.update(formulation.labels(y, _dtype(heads)), heads, weights)


def means(formulation: Formulation, sums: Mapping[str, tuple[float, float]], weighted: bool) -> dict[str, float]:
    """The means of sums over a split; 0 where nothing is there. The total of weighted heads is that of their means."""
    found = {name: total / count if count else 0.0 for name, (total, count) in sums.items()}
    if weighted:
        found["loss"] = formulation.total_of(found)
    return found


def keras_metrics(measures: Measures, size: int, feed: Callable[[slice], None]) -> dict[str, float]:
    """Keras's own metrics over a split of this size, which ``feed`` shows them part by part."""
    if not measures.stateful:
        return {}
    for _, metric in measures.stateful.values():
        metric.reset_state()
    for first in range(0, size, CHUNK):
        feed(slice(first, first + CHUNK))
    results = {name: np.asarray(_array(metric.result())) for name, (_, metric) in measures.stateful.items()}
    return {name: float(value.mean()) for name, value in results.items()}


def _rows(data: Examples, rows: slice) -> Examples:
    return Examples(*(map_leaves(lambda array: array[rows], each) for each in data))


def _dtype(heads: Mapping[str, Tensor]) -> str:
    dtype = next(iter(heads.values())).dtype
    return getattr(dtype, "name", str(dtype)).replace("torch.", "")


def _array(value: Any) -> Any:  # noqa: ANN401 (a backend's tensor)
    from keras import ops

    return ops.convert_to_numpy(value)


def _number(value: Any) -> float:  # noqa: ANN401
    return float(_array(value))
