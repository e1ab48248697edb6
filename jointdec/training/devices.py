"""The machine's accelerators, and TensorFlow started quietly on them."""

from __future__ import annotations

import contextlib

from jointdec.config import Config
from jointdec.errors import UserError
from jointdec.quiet import quiet_stderr


def start_backend(config: Config) -> list[str]:
    """Import the framework that trains, and let a GPU's memory grow with the need.

    Returns:
        Names of the accelerators that it will use; empty on a CPU.

    Raises:
        UserError: the configuration needs TensorFlow, and Keras runs on another backend.
    """
    with quiet_stderr():
        import keras

        backend = keras.backend.backend()
        if backend != "tensorflow" and config.training.name != "fit":
            raise UserError(
                f"training={config.training.name} is a TensorFlow program, but KERAS_BACKEND is {backend!r}: "
                "use training=fit, or unset KERAS_BACKEND."
            )
        if backend != "tensorflow" and config.specimen:
            raise UserError(
                f"loss={config.loss.name}, model={config.model.name} is a specimen, whose failure is TensorFlow's, but "
                f"KERAS_BACKEND is {backend!r}: unset KERAS_BACKEND."
            )
        keras.backend.clear_session()  # the grid's jobs share a process
        return {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[backend]()


def _tensorflow() -> list[str]:
    import tensorflow as tf

    names = []
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # set by an earlier job of this process
            tf.config.experimental.set_memory_growth(gpu, True)
        names.append(str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)))
    return names


def _jax() -> list[str]:
    import jax

    return [device.device_kind for device in jax.devices() if device.platform != "cpu"]


def _torch() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
