"""What the trace of the decoder's step wants to know of a state: weights and Adam's moments by canonical name."""

from __future__ import annotations

from typing import NamedTuple

from jointdec.problems.molecules.architecture import Weights, architecture
from jointdec.problems.molecules.config import ModelConfig
from jointdec.training.state import State, moment_path

SCALE = "loss_scale_optimizer/dynamic_scale"


class DecoderState(NamedTuple):
    """A view of a `State`.

    Attributes:
        weights: the trainable variables, see `jointdec.problems.molecules.architecture`.
        first, second: Adam's moments m and v of each; empty with ``optimizer=sgd``.
        iterations: updates taken so far.
        loss_scale: under float16 what the loss is multiplied by; else None.
    """

    weights: Weights
    first: Weights
    second: Weights
    iterations: int
    loss_scale: float | None


def decoder_state(config: ModelConfig, state: State) -> DecoderState:
    """The view; KeyError where the state is of another model."""
    names = [f"{layer.name}/{part}" for layer in architecture(config).layers for part in ("kernel", "bias")]
    first, second = (
        {name: state[moment_path(name, moment)] for name in names if moment_path(name, moment) in state.values}
        for moment in ("momentum", "velocity")
    )
    iterations = next(
        int(state[f"{name}/iteration"]) for name in ("adam", "sgd") if f"{name}/iteration" in state.values
    )
    scale = float(state[SCALE]) if SCALE in state.values else None
    return DecoderState({name: state[name] for name in names}, first, second, iterations, scale)


def without_loss_scale(state: State) -> State:
    """The same state for a step whose loss is not scaled."""
    return State({path: value for path, value in state.values.items() if path != SCALE})
