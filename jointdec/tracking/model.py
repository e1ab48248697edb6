"""Stores a trained model in the active MLflow run.

``mlflow.keras.load_model(uri)`` gives the Keras model back. ``mlflow.pyfunc.load_model(uri)`` works as well,
but MLflow wraps the dictionary of the heads into a NumPy array of shape () and dtype object. ``.item()``
unwraps it: ``loaded.predict(x).item()["price"]`` is the head's array.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

import keras
import mlflow.keras
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

NEEDED = ("keras", "mlflow", "numpy", "tensorflow")


def log_model(model: keras.Model) -> str:
    """Store a model; the URI that loads it.

    The requirements are given, since MLflow takes 9 s to find them out by running the model in a new process.
    """
    requirements = [f"{name}=={version(name)}" for name in NEEDED]
    return str(
        mlflow.keras.log_model(
            model, name="model", signature=_signature(model), pip_requirements=requirements
        ).model_uri
    )


def _signature(model: keras.Model) -> ModelSignature | None:
    """Of a model that knows its inputs: MLflow has signatures for one array, or for several with names."""
    inputs = getattr(model, "inputs", None)
    if not inputs or not isinstance(model.output, Mapping):
        return None
    named = len(inputs) > 1
    return ModelSignature(
        inputs=Schema([_spec(tensor, tensor.name if named else None) for tensor in inputs]),
        outputs=Schema([_spec(tensor, name) for name, tensor in model.output.items()]),
    )


def _spec(tensor: keras.KerasTensor, name: str | None) -> TensorSpec:
    return TensorSpec(np.dtype(tensor.dtype), tuple(-1 if side is None else side for side in tensor.shape), name)
