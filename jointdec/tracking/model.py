"""Stores a trained model in the active MLflow run.

``mlflow.keras.load_model(uri)`` gives the Keras model back. ``mlflow.pyfunc.load_model(uri)`` works as well,
but MLflow wraps the dictionary of the two heads into a NumPy array of shape () and dtype object. ``.item()``
unwraps it: ``loaded.predict(features).item()["edges"]`` is the (B, 9, 9, 4) array.
"""

from __future__ import annotations

from importlib.metadata import version

import keras
import mlflow.keras
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from jointdec.dataset import EDGE_CLASSES, FEATURES, NODE_CLASSES, NODES

NEEDED = ("keras", "mlflow", "numpy", "tensorflow")


def log_model(model: keras.Model) -> str:
    """Store a model (B, 135) -> {"nodes": (B, 9, 5), "edges": (B, 9, 9, 4)}; the URI that loads it.

    The requirements are given, since MLflow takes 9 s to find them out by running the model in a new process.
    """
    requirements = [f"{name}=={version(name)}" for name in NEEDED]
    return str(
        mlflow.keras.log_model(
            model, name="model", signature=_signature(model), pip_requirements=requirements
        ).model_uri
    )


def _signature(model: keras.Model) -> ModelSignature:
    shapes = {"nodes": (-1, NODES, NODE_CLASSES), "edges": (-1, NODES, NODES, EDGE_CLASSES)}
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(model.input.dtype), (-1, FEATURES))]),
        outputs=Schema([TensorSpec(np.dtype(model.output[name].dtype), shape, name) for name, shape in shapes.items()]),
    )
