"""What was measured on: the processor and the versions, and nothing that names a particular computer."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from jointdec.tracking.environment import device

PACKAGES = ("tensorflow", "keras", "torch", "jax", "numpy", "mlflow")
GPUS = """
from tensorflow import config
for gpu in config.list_physical_devices("GPU"):
    print(config.experimental.get_device_details(gpu).get("device_name", gpu.name))
"""


def machine() -> dict[str, object]:
    """CPU model, cores, memory, Python, system, accelerators, versions of the packages that are installed."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    # in a process of its own: one that holds TensorFlow would stay in the way of the measurements
    said = subprocess.run([sys.executable, "-c", GPUS], capture_output=True, check=True, text=True).stdout
    return {**device(said.splitlines()), "versions": versions}
