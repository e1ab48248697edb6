"""That a loss gives one number: told before the training, by the name of the function that does not."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from jointdec.errors import NoLossNumber
from jointdec.training.outputs import along, loss_function

WITHOUT_GRADIENT = "No gradients provided for any variable"  # what Keras's optimizers say
KERAS_NO_LOSS = "No loss to compute"
NO_LOSS = "The model is compiled without a loss, and no layer adds one: give a loss to model.compile(loss=...)."
MEND = "a loss must give numbers: one value a place, or their mean by keras.ops.mean"

DIFFERENTIABLE = (
    "it must come from the model's outputs by keras.ops or TensorFlow, without argmax, round, comparisons or NumPy"
)


@contextmanager
def loss_must_be_a_number(model: keras.Model) -> Iterator[None]:
    """Look at what the model's ``compute_loss`` gives meanwhile.

    Raises:
        NoLossNumber: it is no single number, one of the compiled losses gives none, or no weight has a gradient by it.
    """
    compute: Callable[..., Any] = model.compute_loss
    calls = list[tuple[Any, Any]]()

    def watched(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 (Keras's own signature)
        try:
            loss = compute(*arguments, **options)
        except Exception as error:
            told = NO_LOSS if KERAS_NO_LOSS in str(error) else _loss_without_numbers(model, *arguments, **options)
            if told:
                raise NoLossNumber(told) from error
            raise
        calls.append((arguments, options))
        if not _is_number(loss) or len(loss.shape) > 0:
            raise NoLossNumber(
                f"{_name(compute)} gives {_what(loss)}, but must give one number a batch: take keras.ops.mean."
            )
        return loss

    model.__dict__["compute_loss"] = watched
    try:
        yield
    except ValueError as error:
        if WITHOUT_GRADIENT not in str(error):
            raise
        told = (_loss_without_numbers(model, *arguments, **options) for arguments, options in calls)
        raise NoLossNumber(next(filter(None, told), f"The loss has no gradient: {DIFFERENTIABLE}.")) from error
    finally:
        del model.__dict__["compute_loss"]


def _loss_without_numbers(  # noqa: PLR0913, PLR0917 (Keras's own signature)
    model: keras.Model,
    x: Any = None,  # noqa: ANN401 (what Keras hands over)
    y: Any = None,  # noqa: ANN401
    y_pred: Any = None,  # noqa: ANN401
    sample_weight: Any = None,  # noqa: ANN401
    training: bool = True,
) -> str:
    """Which compiled loss gives no numbers, in a sentence; empty if all do."""
    for flat in getattr(model._compile_loss, "_flat_losses", None) or ():
        function = loss_function(flat.loss)
        if function is None:
            continue
        try:
            value = function(along(flat.path, y), along(flat.path, y_pred))
        except Exception:  # its own error says more
            continue
        if not _is_number(value):
            head = f" of output {flat.name!r}" if flat.name else ""
            return f"The loss{head}, {_name(function)}, gives {_what(value)}, but {MEND}."
    return ""


def _is_number(value: Any) -> bool:  # noqa: ANN401 (whatever a function gives)
    return bool(tf.is_tensor(value)) and bool(value.dtype.is_floating or value.dtype.is_integer)


def _what(value: Any) -> str:  # noqa: ANN401
    if tf.is_tensor(value):
        return f"a tensor of shape {tuple(value.shape)} and type {value.dtype.name}"
    return "None" if value is None else f"a {type(value).__name__}"


def _name(function: Callable[..., Any]) -> str:
    """The function's name, and where it stands."""
    name = getattr(function, "__qualname__", type(function).__name__)
    try:
        file, line = inspect.getsourcefile(function), inspect.getsourcelines(function)[1]
    except (TypeError, OSError):
        return name
    return f"{name} ({Path(file).name}:{line})" if file else name
