"""Where an operation was asked for: the user's own line, the layer, the variable; read off Python's frames."""

from __future__ import annotations

import site
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import keras

PACKAGE = f"{Path(__file__).resolve().parents[1]}/"
LIBRARIES = tuple(
    f"{folder}/" for folder in {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), *site.getsitepackages()}
)
SKIPPED = ("<frozen", "<string>", "<attrs", "<__array_function__")


@dataclass(frozen=True)
class Place:
    """Where an operation was asked for.

    Attributes:
        file: of the user's code that asked for it; empty where only libraries did.
        line: in that file.
        function: there.
        layer: path of the innermost layer; empty outside of all.
        functions: names of the functions of Keras's and TensorFlow's that lead from there to the operation.
        variable: path of the variable that is updated; empty outside of an optimizer.
    """

    file: str = ""
    line: int = 0
    function: str = ""
    layer: str = ""
    functions: tuple[str, ...] = ()
    variable: str = ""

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}" if self.file else ""


def frames_until(root: FrameType | None) -> Sequence[FrameType]:
    """From the caller's caller outwards to before ``root``."""
    # not the caller's own: a list among its variables that holds it would be a circle, and keep all of them alive
    frames, frame = list[FrameType](), sys._getframe(2)
    while frame is not None and frame is not root:
        frames.append(frame)
        frame = frame.f_back  # type: ignore[assignment]  # None at the outermost
    return frames


def gradient_frame(frames: Sequence[FrameType]) -> FrameType | None:
    """TensorFlow's function that takes the gradient of one operation, if it is at work."""
    for frame in frames:
        if frame.f_code.co_name == "_gradient_function" and frame.f_code.co_filename.endswith("backprop.py"):
            return frame
    return None


def place_of(frames: Sequence[FrameType], variables: Mapping[int, str]) -> Place:
    """The innermost line of the user's among frames, and what Keras was doing inside of it.

    Args:
        frames: from the operation outwards.
        variables: paths by the variable's id.
    """
    functions, layer, variable = list[str](), "", ""
    for number, frame in enumerate(frames):
        code = frame.f_code
        if is_users(code.co_filename):
            layer = layer or _layer_of(frame) or _outer_layer(frames[number:])
            return Place(code.co_filename, frame.f_lineno, code.co_name, layer, tuple(functions))
        if not layer and code.co_name == "__call__" and code.co_filename.endswith(("layer.py", "operation.py")):
            layer = _layer_of(frame)
        if code.co_name == "update_step":
            updated = frame.f_locals.get("variable")
            variable = variables.get(id(updated)) or str(getattr(updated, "path", ""))
        functions.append(code.co_name)
    return Place(layer=layer, functions=tuple(functions), variable=variable)


def is_users(file: str) -> bool:
    """Whether this is a file of the user's, or of a problem that ships, and not a library's."""
    if file.startswith(SKIPPED):
        return False
    if file.startswith(PACKAGE):
        return file.startswith(f"{PACKAGE}problems/") and Path(file).name not in ("building.py", "blame.py")
    return not file.startswith(LIBRARIES)


def _outer_layer(frames: Sequence[FrameType]) -> str:
    for frame in frames:
        if frame.f_code.co_name == "__call__" and frame.f_code.co_filename.endswith("layer.py"):
            return _layer_of(frame)
    return ""


def _layer_of(frame: FrameType) -> str:
    """The path of the layer whose method this is; of a model as a whole there is none."""
    layer = frame.f_locals.get("self")
    if not isinstance(layer, keras.Operation) or isinstance(layer, keras.Model):
        return ""
    return str(getattr(layer, "path", None) or layer.name)
