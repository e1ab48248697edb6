"""A compiled Keras model as the parameters of a record: what `compile` and `fit` got, and what the model is.

Read from the objects themselves. Keras's `get_compile_config` gives a function's bare name without its module, a
lambda's bytecode together with a warning, and raises where one loss of several has no `get_config`; but whatever a user
compiles with, its record must never be what stops the training.
"""

from __future__ import annotations

import functools
import inspect
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

OWN = ("compute_loss", "train_step")  # methods that a model may override
SCALARS = (bool, int, float, str, type(None))


def params_of(model: keras.Model, **settings: object) -> dict[str, str]:
    """Everything that decides what a training does, as text by dotted names.

    Args:
        model: compiled, and built if its parameters are to be counted.
        settings: what `fit` got, recorded as ``fit.NAME``.

    Returns:
        ``model.class|name|parameters|input|output``, ``model.compute_loss|train_step`` where they are the user's own,
        ``loss``, ``loss.weights``, ``metrics``, ``weighted_metrics``, each followed by ``.OUTPUT`` where there are
        several, ``optimizer``; and what these are configured with, as ``optimizer.learning_rate``. Keras's own classes
        and functions go by their name, others as ``module:name``.
    """
    compiled = getattr(getattr(model, "_compile_config", None), "config", {})
    outputs = list(getattr(model, "output_names", None) or ())
    found = dict(_model(model, outputs))
    for suffix, loss in _by_output(compiled.get("loss"), outputs):
        found |= _described(f"loss{suffix}", loss)
    for suffix, weight in _by_output(compiled.get("loss_weights"), outputs):
        found[f"loss.weights{suffix}"] = _spelled(weight)
    for kind in ("metrics", "weighted_metrics"):
        found |= {f"{kind}{suffix}": names for suffix, names in _metrics(compiled.get(kind), outputs)}
    found |= _described("optimizer", getattr(model, "optimizer", None))
    return found | {f"fit.{name}": _spelled(value) for name, value in settings.items()}


def _model(model: keras.Model, outputs: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield "model.class", _name_of(model)
    yield "model.name", model.name
    if model.built:
        yield "model.parameters", str(sum(int(np.prod(variable.shape)) for variable in model.trainable_variables))
    inputs = list(getattr(model, "inputs", None) or ())  # a model that is a Python function has none
    yield from _shapes("model.input", inputs, [tensor.name for tensor in inputs])
    yield from _shapes("model.output", list(getattr(model, "outputs", None) or ()), outputs)
    for name in OWN:
        method = getattr(type(model), name)
        if not _is_keras_s(method):
            yield f"model.{name}", _name_of(method)


def _shapes(key: str, tensors: Sequence[Any], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(tensors) == 1:
        yield key, _spelled(tensors[0].shape)
        return
    for tensor, name in zip(tensors, names, strict=False):
        yield f"{key}.{name}", _spelled(tensor.shape)


def _by_output(value: Any, outputs: Sequence[str]) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 (what compile takes)
    """What `compile` was given, alone or in a tree of the outputs: (suffix of the name, value)."""
    if isinstance(value, Mapping):
        parts: Iterator[tuple[str, Any]] = iter(value.items())
    elif isinstance(value, list | tuple):
        names = outputs if len(outputs) == len(value) else [str(place) for place in range(len(value))]
        parts = zip(names, value, strict=True)
    else:
        yield from [] if value is None else [("", value)]
        return
    for name, part in parts:
        yield from ((f".{name}{suffix}", leaf) for suffix, leaf in _by_output(part, ()))


def _metrics(given: Any, outputs: Sequence[str]) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Names of the metrics: of all together where there is one output, else by output."""
    by_name = dict(given) if isinstance(given, Mapping) else {"": given}
    if isinstance(given, list | tuple) and len(outputs) == len(given) > 1:
        by_name = dict(zip(outputs, given, strict=True))
    for name, metrics in by_name.items():
        names = [_spelled(metric) for _, metric in _by_output(metrics, ())]
        if names:
            yield f".{name}" if name else "", ", ".join(names)


def _described(key: str, value: Any) -> dict[str, str]:  # noqa: ANN401 (a loss, an optimizer, a schedule)
    """The name of an object, and what it is configured with."""
    found = {key: _spelled(value)}
    if not isinstance(value, SCALARS):
        found |= _flat(key, _config_of(value))
    return found


def _config_of(value: Any) -> Mapping[str, Any]:  # noqa: ANN401
    """Of an object that cannot be serialised, what can be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that lambdas are unsafe to load: nobody loads them
            return {**value.get_config(), **getattr(value, "_fn_kwargs", {})}  # the only place of Huber's delta
    except Exception:  # whatever a user's own class raises
        attributes = getattr(value, "__dict__", {})
        readable = {name: item for name, item in attributes.items() if isinstance(item, SCALARS) and name[0] != "_"}
        schedule = {"learning_rate": attributes["_learning_rate"]} if "_learning_rate" in attributes else {}
        return readable | schedule


def _flat(key: str, config: Mapping[str, Any]) -> dict[str, str]:
    """A configuration by dotted names, without the names that Keras numbers through (``adam_3``)."""
    found: dict[str, str] = {}
    for name, value in config.items():
        if name == "name":
            continue
        if not isinstance(value, Mapping):
            found |= _described(f"{key}.{name}", value)
        elif "class_name" in value:
            found |= _serialised(f"{key}.{name}", value)
        else:
            found |= _flat(f"{key}.{name}", value)
    return found


def _serialised(key: str, value: Mapping[str, Any]) -> dict[str, str]:
    """An object within a configuration, as Keras serialises it."""
    kind, config = value["class_name"], value.get("config")
    if kind == "__lambda__":
        return {key: "<lambda>"}
    return {key: kind} | _flat(key, config) if isinstance(config, Mapping) else {key: str(config)}


def _spelled(value: Any) -> str:  # noqa: ANN401
    """Numbers and lists as JSON, of float32 the shortest digits; objects by name."""
    if hasattr(value, "numpy"):  # a variable, as live loss weights are
        value = value.numpy()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        with np.errstate(over="ignore"):
            short = np.float32(value)
        return str(short) if float(short) == value else repr(value)
    if isinstance(value, bool | int | list | tuple | None):
        return json.dumps(value, default=_name_of)
    return value if isinstance(value, str) else _name_of(value)


def _name_of(value: Any) -> str:  # noqa: ANN401
    named = _named(value)
    return named.__qualname__ if _is_keras_s(value) else f"{named.__module__}:{named.__qualname__}"


def _is_keras_s(value: Any) -> bool:  # noqa: ANN401
    return str(_named(value).__module__).partition(".")[0] == "keras"


def _named(value: Any) -> Any:  # noqa: ANN401
    """What has a name: the function below wrappers, or the class of an object."""
    while isinstance(value, functools.partial):
        value = value.func
    value = inspect.unwrap(value) if callable(value) else value
    return value if hasattr(value, "__qualname__") else type(value)
