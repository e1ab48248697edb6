"""Which labels, loss and weight Keras gives to which output of a compiled model: asked of Keras, not reimplemented.

Keras decides this when it sees the first batch, by name, by position or by the alphabet, whichever its rules say. A
scratch copy of the model's ``CompileLoss`` is shown the labels and the outputs' shapes, decides, and computes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import keras

# not public, and worth it: what Keras itself decides cannot disagree with Keras (jointdec pins its minor version)
from keras.src import backend
from keras.src.losses.losses import LossFunctionWrapper
from keras.src.models import Functional
from keras.src.trainers.compile_utils import CompileLoss

from jointdec.training.arrays import Array, keras_dtype

BATCH = 32  # rows of the batch that a model without a graph is shown, as Keras's own default

Tree = Any  # arrays in tuples and dicts, or one array, or None
Path = tuple[str | int, ...]


class Output(NamedTuple):
    """One output of the model."""

    name: str
    path: Path  # in the tree that the model returns
    spec: Any  # KerasTensor: shape, dtype; None for a loss of several outputs at once
    tensor: Any  # of the model's graph, or None where there is no graph


class Target(NamedTuple):
    """An output with a loss that it is trained by."""

    output: Output
    labels: Any  # an array where all is well; else what Keras took for the labels
    loss: keras.losses.Loss
    weight: Any  # number, keras.Variable or None


class Outputs(NamedTuple):
    """The outputs of a model and what Keras makes of them."""

    tree: Tree  # of KerasTensor: what the model returns for a batch
    all: list[Output]  # in the order of keras.tree.flatten(tree)
    targets: list[Target]  # empty where Keras cannot match them, or nothing was to match
    refused: str  # why Keras cannot; else empty


def own_function(model: keras.Model) -> str:
    """Which function of the model's own decides about its loss: train_step or compute_loss; empty if Keras does."""
    for name in ("train_step", "compute_loss"):
        if getattr(getattr(model, name), "__func__", None) is not getattr(keras.Model, name):
            return name
    return ""


def read_outputs(model: keras.Model, x: Tree, y: Tree) -> Outputs | None:
    """The outputs of a compiled model whose loss Keras computes, matched with labels and losses.

    A model that is not built yet is built, as by Keras's own fit.

    Returns:
        None where the model's own function decides, or where it cannot say what it returns.
    """
    if own_function(model):
        return None
    graph = _graph(model)
    try:
        tree = graph.output if graph else backend.compute_output_spec(model, _specs(x), training=False)
    except Exception:  # whatever the model's own code raises; Keras says it again when it trains
        return None
    tensors = graph.outputs if graph else None
    outputs = _outputs(tree, getattr(model, "output_names", None), tensors)
    if y is None or model._compile_loss is None:
        return Outputs(tree, outputs, [], "")
    scratch = _Scratch(model._compile_loss)
    try:
        scratch.call(y, tree)
    except _Decided:
        return Outputs(tree, outputs, scratch.targets(outputs), "")
    except Exception as error:  # Keras has many: KeyError, TypeError, ValueError
        return Outputs(tree, outputs, [], str(error).strip().splitlines()[0])
    raise AssertionError("Keras computed a loss without build()")


def along(path: Path, tree: Tree) -> Tree:
    """What stands at a path of a tree; KeyError, TypeError or IndexError where nothing does."""
    for step in path:
        tree = tree[step]
    return tree


def loss_function(loss: keras.losses.Loss) -> Any:  # noqa: ANN401 (any function)
    """The function that a loss wraps, e.g. ``keras.losses.mean_squared_error``; None where its class has its own."""
    if type(loss).call is not LossFunctionWrapper.call:
        return None
    return loss.fn.func if isinstance(loss.fn, partial) else loss.fn


def loss_option(loss: keras.losses.Loss, name: str) -> Any:  # noqa: ANN401
    """An argument that a wrapped loss function gets, e.g. ``from_logits``; None where it is not given."""
    given = loss.fn.keywords if isinstance(loss.fn, partial) else {}
    return (loss._fn_kwargs | given).get(name)


class _Decided(Exception):  # noqa: N818 (no error)
    """Keras has decided; the losses' values are not wanted."""


class _Scratch(CompileLoss):  # type: ignore[misc]
    """A copy of a CompileLoss that stops where Keras has matched, before anything is computed."""

    def __init__(self, compiled: CompileLoss) -> None:
        super().__init__(compiled._user_loss, compiled._user_loss_weights, output_names=compiled.output_names)

    def build(self, y_true: Tree, y_pred: Tree) -> None:
        super().build(y_true, y_pred)
        self.labels = [along(loss.path, y_true) for loss in self._flat_losses]
        raise _Decided

    def targets(self, outputs: Sequence[Output]) -> list[Target]:
        by_path = {output.path: output for output in outputs}
        return [
            # a loss of several outputs at once stands where no single output does
            Target(
                by_path.get(flat.path) or Output(flat.name, flat.path, None, None), labels, flat.loss, flat.loss_weights
            )
            for flat, labels in zip(self._flat_losses, self.labels, strict=True)
        ]


def _graph(model: keras.Model) -> Functional | None:
    """The functional model that computes the outputs, or None: a subclass with its own call has none."""
    if isinstance(model, keras.Sequential):
        return model._functional if type(model).call is keras.Sequential.call else None
    return model if isinstance(model, Functional) and type(model).call is Functional.call else None


def _specs(x: Tree) -> Tree:
    def spec(array: Array | None) -> Any:  # noqa: ANN401 (KerasTensor)
        if array is None:
            return None
        return keras.KerasTensor((min(len(array), BATCH), *array.shape[1:]), keras_dtype(array.dtype).name)

    return keras.tree.map_structure(spec, x)


def _outputs(tree: Tree, names: list[str] | None, tensors: list[Any] | None) -> list[Output]:
    leaves = keras.tree.flatten_with_path(tree)
    numbered = [f"output_{i}" for i in range(len(leaves))] if len(leaves) > 1 else ["output"]
    usable = names if names and len(names) == len(leaves) else numbered
    outputs = []
    for number, (path, spec) in enumerate(leaves):
        named = any(isinstance(step, str) for step in path)
        name = "/".join(str(step) for step in path) if named else usable[number]
        outputs.append(Output(name, path, spec, tensors[number] if tensors else None))
    return outputs
