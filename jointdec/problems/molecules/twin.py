"""One training step again, tensor by tensor, in the order of execution: where does the first NaN or Inf come from?

The decoder is `tf_native`'s, which every formulation equals, and the loss is written out operation by operation; so
this finds the same tensor for all of them, whatever compiled their programs.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from jointdec.config import BETA_1, BETA_2, AdamConfig, Config, OptimizerConfig
from jointdec.dataset import Split
from jointdec.divergence.record import Traced
from jointdec.problems import find
from jointdec.problems.molecules.loss_operations import loss_operations
from jointdec.problems.molecules.tf_native import TfNative
from jointdec.problems.molecules.twin_state import DecoderState, decoder_state
from jointdec.training.state import State

Array = npt.NDArray[np.floating]
Tensor = Any  # TensorFlow has no types

LEAKY_RELU = "LeakyReLU"
MOMENTS = {"first": "first moment", "second": "second moment"}


def trace_step(config: Config, state: State, batch: Split, jit: bool = False) -> list[Traced]:
    """All tensors of a step, from the features to the new weights.

    Args:
        config: of the run.
        state: what the step starts from.
        batch: its molecules.
        jit: compile forward and backward with XLA, which sums in another order than TensorFlow op by op.
    """
    twin = TfNative(find("molecules"), config)
    start = decoder_state(config.model, state)
    twin.set_weights(start.weights)
    features = tf.constant(batch.x, next(iter(twin.variables.values())).dtype)
    labels = twin.labels(batch.y, features.dtype.name)
    scale = start.loss_scale
    plan: list[tuple[str, str, str]] = []

    def compute() -> list[Tensor]:
        named = list(_forward_and_backward(twin, config, features, labels, scale))
        plan[:] = [entry[:3] for entry in named]
        return [entry[3] for entry in named]

    values = (tf.function(compute, jit_compile=True, autograph=False) if jit else compute)()
    traced = [Traced(*entry, np.asarray(value)) for entry, value in zip(plan, values, strict=True)]
    gradients = {entry.name: entry.value for entry in traced if entry.part == "gradient"}
    with np.errstate(all="ignore"):  # what overflows here is what is looked for
        return traced + list(_update(config.optimizer, start, gradients))


def first_bad(traced: Sequence[Traced]) -> Traced | None:
    """The first tensor that holds a NaN or Inf."""
    return next((entry for entry in traced if entry.bad.any()), None)


def _forward_and_backward(
    twin: TfNative, config: Config, features: Tensor, labels: Mapping[str, Tensor], scale: float | None
) -> Iterator[tuple[str, str, str, Tensor]]:
    with tf.GradientTape() as tape:
        forward = dict(twin.tensors(features))
        heads = {head: forward[f"{head}_logits"] for head in labels}
        losses = list(loss_operations(config.loss, dict(labels), heads))
        objective = losses[-1].value if scale is None else losses[-1].value * scale
    middle = forward | {operation.name: operation.value for operation in losses}
    gradients = tape.gradient(objective, {**twin.variables, **middle})

    yield "features", "input", "the batch", features
    for head, values in labels.items():
        yield f"{head}_labels", "input", "the batch", values
    for name, value in forward.items():
        for variable in _variables_of(twin, name):
            yield variable, "weight", "as it was before the step", tf.identity(twin.variables[variable])
        yield name, "activation", _forward_operation(name), value
    for operation in losses:
        yield operation.name, "loss", operation.operation, operation.value
    if scale is not None:
        yield "scaled_loss", "loss", f"loss times the loss scale {scale:g}", objective
    for name in [*reversed(middle)]:
        if gradients[name] is not None:  # some operations only show what the fused kernel does inside
            yield f"gradient/{name}", "gradient", "backward pass", gradients[name]
        for variable in _variables_of(twin, name):
            gradient = gradients[variable] if scale is None else gradients[variable] / scale
            yield f"gradient/{variable}", "gradient", "backward pass", gradient
    unscaled = [gradients[variable] / (scale or 1) for variable in twin.variables]
    squares = [tf.reduce_sum(tf.square(gradient)) for gradient in unscaled]
    yield "grad_norm", "gradient", "root of the sum of all squared gradients", tf.sqrt(tf.add_n(squares))


def _variables_of(twin: TfNative, name: str) -> list[str]:
    return [variable for variable in (f"{name}/kernel", f"{name}/bias") if variable in twin.variables]


def _forward_operation(name: str) -> str:
    if name.endswith("_leaky_relu"):
        return LEAKY_RELU
    return {"edges_gram": "Gram product X X^T", "nodes_logits": "reshaped", "edges_logits": "reshaped"}.get(
        name, "x W + b"
    )


def _update(config: OptimizerConfig, state: DecoderState, gradients: Mapping[str, Array]) -> Iterator[Traced]:
    """The optimizer's step, in the variables' dtype; see `jointdec.problems.molecules.native_optimizer`."""
    for name in state.weights:
        weight, gradient = state.weights[name], gradients[f"gradient/{name}"]
        if isinstance(config, AdamConfig):
            update = yield from _adam_update(config, state, name, gradient)
        else:
            update = weight.dtype.type(config.learning_rate) * gradient
            yield Traced(f"update/{name}", "update", "rate times gradient", update)
        yield Traced(f"new/{name}", "update", "weight - update", weight - update)


def _adam_update(config: AdamConfig, state: DecoderState, name: str, gradient: Array) -> Generator[Traced, None, Array]:
    t = state.iterations + 1
    rate = config.learning_rate * np.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
    number = state.weights[name].dtype.type
    old = {moment: getattr(state, moment)[name] for moment in MOMENTS}
    for moment, words in MOMENTS.items():
        yield Traced(f"{moment}/{name}", "moment", f"Adam's {words}, as it was before the step", old[moment])
    m = old["first"] + number(1 - BETA_1) * (gradient - old["first"])
    v = old["second"] + number(1 - BETA_2) * (np.square(gradient) - old["second"])
    yield Traced(f"new_first/{name}", "moment", "m + (1 - b1) (g - m)", m)
    yield Traced(f"new_second/{name}", "moment", "v + (1 - b2) (g^2 - v)", v)
    update: Array = number(rate) * m / (np.sqrt(v) + number(config.epsilon))
    yield Traced(f"update/{name}", "update", "rate times m / (sqrt(v) + epsilon)", update)
    return update
