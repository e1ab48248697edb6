"""Keras's callbacks at the boundaries of epochs; the few that want every batch are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from jointdec.errors import BadArgument

BATCH_METHODS = (
    *("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"),
    *("on_test_batch_begin", "on_test_batch_end"),
)


def that_want_batches(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Names of the classes of those callbacks that do something in every batch, and so need Keras's own loop."""
    return [type(callback).__name__ for callback in callbacks if _wants_batches(callback)]


def listed(callbacks: Any) -> list[keras.callbacks.Callback]:  # noqa: ANN401 (None, one, several or a CallbackList)
    """The callbacks that ``fit`` was given, one by one.

    Raises:
        BadArgument: one is no callback.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    found: list[keras.callbacks.Callback] = keras.tree.flatten([] if callbacks is None else callbacks)
    for callback in found:
        if not isinstance(callback, keras.callbacks.Callback):
            raise BadArgument(
                f"callbacks has {callback!r}, but must be one of keras.callbacks, or a list of them: a class is called "
                "first, and a function goes into keras.callbacks.LambdaCallback."
            )
    return found


def _wants_batches(callback: keras.callbacks.Callback) -> bool:
    for name in BATCH_METHODS:
        method = getattr(callback, name)
        if getattr(method, "_is_default", False):
            continue
        if not str(getattr(method, "__module__", "")).startswith("keras."):
            return True
        if _keras_own_does_something(callback):
            return True
    return False


def _keras_own_does_something(callback: keras.callbacks.Callback) -> bool:
    """Keras's own methods for batches do nothing in most settings; the guard does more than TerminateOnNaN."""
    if isinstance(callback, keras.callbacks.TensorBoard):
        return bool(callback.update_freq != "epoch" or callback._should_trace)
    return getattr(callback, "save_freq", "epoch") != "epoch"
