"""One training step again, operation by operation: which tensor was not finite first, and whose line made it.

The step is taken eagerly, watched by TensorFlow's own hook for operations, so that loops, nested functions and branches
are plain Python and every operation, the backward pass's too, is seen with its inputs at the moment when it is done.
What is kept of an operation is a line and some numbers; values are kept of the few that are candidates.

A tensor that is not finite though its inputs are is an origin. What matters is the first origin that reaches the loss,
a gradient or a new value of a variable; one that is masked out on the way does not. Inf that was given, as in a mask
of -inf, is no origin where the operations after it can cope with it, but the first NaN that is made of it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.autograph.core.ag_ctx import ControlStatusCtx, Status
from tensorflow.python.framework import op_callbacks

from jointdec.divergence.place import Place, frames_until, gradient_frame, place_of

Tensor = Any  # TensorFlow has no types
KEPT = 50  # origins whose values are kept: memory is bounded
WRITES = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")


@dataclass(eq=False)
class Operation:
    """An operation of the step.

    Attributes:
        number: in order of execution; -1 for what the step was given.
        type: TensorFlow's name of it, as Log or MatMul; ``given`` for inputs, labels, weights and other variables.
        name: of what was given, as x, y/price or dense/kernel.
        part: input, variable, constant, forward, loss, gradient or update.
        place: where it was asked for; of a gradient, where what it is the gradient of was.
        of: what it is the gradient of, if it is in a backward pass and that is known.
        heads: outputs of the model that its result depends on.
        inputs, value: kept only of an origin; ``value`` is the first output that is not finite.
        forward_inputs: of a gradient, the inputs of what it is the gradient of, where TensorFlow has kept them.
        made_of: the operations that made the inputs, as far as known.
    """

    number: int
    type: str
    part: str
    place: Place = Place()
    name: str = ""
    of: Operation | None = None
    heads: tuple[str, ...] = ()
    inputs: tuple[npt.NDArray[Any], ...] = ()
    value: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0))
    forward_inputs: tuple[npt.NDArray[Any], ...] = ()
    made_of: tuple[Operation | None, ...] = ()


@dataclass(eq=False)
class Trace:
    """What was seen of a step.

    Attributes:
        operations: how many there were.
        culprit: the first origin that reaches the loss, a gradient or a new value; None if there is none.
        reached: what it reaches, as loss, gradient of dense/kernel, new value of dense/kernel.
        masked: origins that reach nothing, in order.
    """

    operations: int
    culprit: Operation | None
    reached: tuple[str, ...]
    masked: tuple[Operation, ...]


class Watch:
    """Follows what is not finite through a step.

    Args:
        given: tensors that the step starts from, by name: inputs and labels.
        variables: by path; what is written into ``lasting`` ones counts as a new value.
        lasting: paths of those that a NaN or Inf would ruin for good.
    """

    def __init__(self, given: Mapping[str, Tensor], variables: Mapping[str, Any], lasting: Sequence[str]) -> None:
        self._origins: dict[int, tuple[Operation, ...]] = {}  # of what is not finite, by the tensor's or handle's id
        self._makers: dict[int, Operation] = {}
        self._users: dict[tuple[str, int], Operation] = {}  # by type and an input
        self._heads: dict[int, frozenset[str]] = {}
        self._found: list[Operation] = []
        self._reached: dict[str, tuple[Operation, ...]] = {}
        self._count = 0
        self._variables = {id(v): path for path, v in variables.items()}
        self._handles = {variable.handle._id: (path, variable) for path, variable in variables.items()}
        self._lasting = set(lasting)
        self._given = given
        for name, tensor in given.items():
            self._give(name, "input", tensor._id, np.asarray(tensor))
        for handle, (path, variable) in self._handles.items():
            self._give(path, "variable", handle, np.asarray(variable))
        self._root: FrameType | None = None
        self._part = "forward"
        self._looks = False  # reading a variable is an operation, too

    def take(self, step: Callable[[], None]) -> None:
        """Take the step, watched."""
        eager = tf.config.functions_run_eagerly()
        tf.config.run_functions_eagerly(True)  # what is inside a tf.function is seen as well
        self._root = sys._getframe()
        op_callbacks.add_op_callback(self._see)
        try:
            with ControlStatusCtx(Status.DISABLED):  # else lines would be those of code that AutoGraph has written
                step()
        finally:
            op_callbacks.remove_op_callback(self._see)
            tf.config.run_functions_eagerly(eager)
            self._root = None

    def begin_loss(self, heads: Mapping[str, Tensor]) -> None:
        """From here to `end_loss` operations are the loss's; those of each output are told apart from here on."""
        self._part = "loss"
        labels = {head: self._given[f"y/{head}"] for head in heads if f"y/{head}" in self._given}
        for head, tensor in (*heads.items(), *labels.items()):
            self._heads[tensor._id] = self._heads.get(tensor._id, frozenset()) | {head}

    def end_loss(self, loss: Tensor) -> None:
        """It must be finite."""
        self._part = "forward"
        self.reaches("loss", loss)

    def reaches(self, what: str, tensor: Tensor) -> None:
        """Note that this is the loss, or a gradient: what must be finite."""
        if isinstance(tensor, tf.IndexedSlices):
            tensor = tensor.values
        if origins := self._origins.get(getattr(tensor, "_id", -1)):
            self._reached.setdefault(what, origins)

    def result(self) -> Trace:
        """What was found."""
        counted = {id(origin): origin for origins in self._reached.values() for origin in origins}
        culprit = min(counted.values(), key=lambda origin: origin.number, default=None)
        reached = [what for what, origins in self._reached.items() if culprit in origins]
        reached.sort(key=lambda what: (what.startswith("new value"), what.startswith("gradient")))
        masked = [origin for origin in self._found if id(origin) not in counted and origin.part in ("forward", "loss")]
        return Trace(self._count, culprit, tuple(reached), tuple(masked))

    def _give(self, name: str, part: str, key: int, value: npt.NDArray[Any]) -> None:
        if not is_finite(value):
            origin = Operation(-1, "given", part, name=name, value=value)
            self._found.append(origin)
            self._origins[key] = (origin,)

    def _see(self, op_type: Any, inputs: Any, attrs: Any, outputs: Any, op_name: Any = None, graph: Any = None) -> None:  # noqa: ANN401, PLR0913, PLR0917 (TensorFlow's own signature)
        if graph is not None or self._looks:  # a graph's is one of a data set's own functions
            return
        name = op_type.decode() if isinstance(op_type, bytes) else str(op_type)
        ids = [tensor._id for tensor in inputs]
        heads = frozenset[str]().union(*(self._heads[i] for i in ids if i in self._heads))
        frames = frames_until(self._root)
        gradient = gradient_frame(frames)
        operation = Operation(self._count, name, "gradient" if gradient else self._part)
        operation.heads = tuple(sorted(heads))
        self._count += 1
        if gradient is None:
            operation.place = place_of(frames, self._variables)
            if operation.place.variable or "apply_gradients" in operation.place.functions:
                operation.part = "update"
            for i in ids:
                self._users.setdefault((name, i), operation)
        else:
            self._is_gradient(operation, gradient)
        for tensor in outputs:
            if heads:
                self._heads[tensor._id] = heads
            self._makers[tensor._id] = operation
        if name in WRITES or name.startswith("ResourceApply"):
            self._written(operation, inputs)
        for tensor in outputs:
            if tensor.dtype.is_floating or tensor.dtype.is_complex:
                self._look(operation, inputs, tensor._id, np.asarray(tensor))

    def _is_gradient(self, operation: Operation, frame: FrameType) -> None:
        told = frame.f_locals
        results = [t for t in told.get("outputs") or () if hasattr(t, "_id")]
        tensors = [t for t in told.get("inputs") or () if hasattr(t, "_id")]
        of = next((self._makers[t._id] for t in results if t._id in self._makers), None)
        of = of or next((u for t in tensors if (u := self._users.get((str(told.get("op_name")), t._id)))), None)
        operation.of = of
        if of is not None:
            operation.place, operation.heads = of.place, of.heads
        operation.forward_inputs = tuple(tensors)  # made arrays if it is an origin

    def _look(self, operation: Operation, inputs: Sequence[Tensor], key: int, value: npt.NDArray[Any]) -> None:
        """Say whose result is not finite: an earlier origin's, or this operation's own."""
        if is_finite(value):
            return
        before = [origin for tensor in inputs if (origin := self._origin(operation, tensor))]
        origins = tuple({id(origin): origin for each in before for origin in each}.values())[:KEPT]
        born = np.isnan(value).any() and all(origin.type == "given" for origin in origins)
        born = born and not any(np.isnan(origin.value).any() for origin in origins)
        if origins and not (born and operation.type != "ReadVariableOp"):
            self._origins[key] = origins
            return
        if len(self._found) < KEPT and operation not in self._found:
            arrays = [_array(tensor) for tensor in inputs]
            operation.inputs = tuple(array for array in arrays if array is not None)
            operation.made_of = tuple(
                self._makers.get(tensor._id) for tensor, array in zip(inputs, arrays, strict=True) if array is not None
            )
            kept = [_array(tensor) for tensor in operation.forward_inputs]
            operation.forward_inputs = tuple(array for array in kept if array is not None)
            operation.value = value.copy()
            self._found.append(operation)
        self._origins[key] = (operation,)

    def _origin(self, operation: Operation, tensor: Tensor) -> tuple[Operation, ...]:
        """Where what is not finite in an input comes from; a constant that is not comes from where it is used."""
        if tensor._id not in self._origins and tensor.dtype.is_floating and tensor._id not in self._makers:
            value = np.asarray(tensor)
            if not is_finite(value):
                constant = Operation(operation.number, "given", "constant", operation.place, "a constant", value=value)
                self._origins[tensor._id] = (constant,)
        return self._origins.get(tensor._id, ())

    def _written(self, operation: Operation, inputs: Sequence[Tensor]) -> None:
        handle = inputs[0]._id
        path, variable = self._handles.get(handle, ("", None))
        if variable is None:  # one that nobody named, as of a metric
            origins = [origin for tensor in inputs[1:] for origin in self._origins.get(tensor._id, ())]
            self._origins[handle] = tuple(origins)
            return
        if not variable.dtype.is_floating:
            return
        self._looks = True
        now = np.asarray(variable.numpy())
        self._looks = False
        if is_finite(now):
            self._origins.pop(handle, None)
            return
        operation.name = path
        given = self._origins.pop(handle, ())
        self._look(operation, inputs, handle, now)
        if given and operation.type != "AssignVariableOp":
            self._origins[handle] = given
        if path in self._lasting and not (given and given[0].type == "given"):
            self._reached.setdefault(f"new value of {path}", self._origins[handle])


def is_finite(value: npt.NDArray[Any]) -> bool:
    """Whether all numbers are; bfloat16 and other types that NumPy does not know of are looked at as float32."""
    if value.dtype.kind in "iubSUO":
        return True
    return bool(np.isfinite(value.astype(np.float32) if value.dtype.kind == "V" else value).all())


def _array(tensor: Tensor) -> npt.NDArray[Any] | None:
    if tensor.dtype in (tf.resource, tf.variant, tf.string):
        return None
    value = np.asarray(tensor)
    return value.astype(np.float32) if value.dtype.kind == "V" else value


@contextmanager
def kept(variables: Mapping[str, Any]) -> Iterator[None]:
    """Whatever happens to these variables meanwhile, they are afterwards what they were."""
    before = {path: tf.identity(variable) for path, variable in variables.items()}
    try:
        yield
    finally:
        for path, variable in variables.items():
            variable.assign(before[path])
