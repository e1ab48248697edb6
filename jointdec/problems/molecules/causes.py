"""Why a step went NaN or Inf: by which evidence each cause of `jointdec.divergence.catalogue` is named.

A cause is named only where its evidence holds. Where a change of one thing can decide (another precision, loss weights
of 1), the step is traced again with that change. What fits none is ``unknown``, with the trace as the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from jointdec.config import AdamConfig, Config
from jointdec.dataset import Split
from jointdec.divergence.record import Traced
from jointdec.divergence.runaway import BELOW_ZERO, Runaway
from jointdec.problems.molecules.architecture import initial_weights
from jointdec.problems.molecules.twin import LEAKY_RELU, first_bad, trace_step
from jointdec.problems.molecules.twin_state import decoder_state, without_loss_scale
from jointdec.training.state import State

GROWN = 10.0  # weights that have left the size of their initial values by this factor
LARGE_STEP = 0.1  # of the initial weights' standard deviation, taken by every weight in one step of Adam
LARGE_WEIGHT = 1e3  # of a loss: below it, weights of 1 would only have put off what happened
BEYOND = 1e6  # times the largest initial weight: no training with a sound rate gets there


class Verdict(NamedTuple):
    """A cause, one of CAUSES, and the evidence for it in a sentence."""

    cause: str
    evidence: str


class Case(NamedTuple):
    """What is known about the step.

    Attributes:
        config, state, batch: see `jointdec.problems.molecules.twin.trace_step`.
        trace: what it returned.
        culprit: the first tensor that is not finite.
        label_warning: what is wrong with the labels, see `jointdec.dataset.Dataset`.
    """

    config: Config
    state: State
    batch: Split
    trace: Sequence[Traced]
    culprit: Traced
    label_warning: str | None

    def tensor(self, name: str) -> Traced:
        """The tensor of the trace with this name."""
        return next(entry for entry in self.trace if entry.name == name)

    @property
    def at(self) -> str:
        """The culprit with its operation, for a sentence."""
        return f"{self.culprit.name} ({self.culprit.operation})"


def find_cause(case: Case) -> Verdict:
    """The first cause whose evidence holds, the most certain ones first."""
    for name, rule in RULES.items():
        if evidence := rule(case):
            return Verdict(name, evidence)
    return Verdict("unknown", f"The first tensor that is not finite is {case.at}, and no rule explains it.")


def find_runaway_cause(config: Config, state: State, label_warning: str | None, runaway: Runaway) -> Verdict:
    """The cause of a loss that runs away while finite, as far as it can be told from the state after the epoch."""
    if moved := _moved_by_large_steps(config, state):
        return Verdict("learning_rate", f"{runaway.sentence} {moved}.")
    if label_warning and runaway.kind == "below_zero":
        return Verdict("labels_not_a_distribution", f"{runaway.sentence} {label_warning}")
    return Verdict("unknown", runaway.sentence)


def _bad_input(case: Case) -> str | None:
    return f"{case.culprit.name} of the batch are not finite." if case.culprit.part == "input" else None


def _corrupted_state(case: Case) -> str | None:
    culprit = case.culprit
    if culprit.part == "moment" and not culprit.name.startswith("new_"):
        return f"{case.at} holds {culprit.bad.sum()} values that are not finite."
    if culprit.part == "weight" and np.isnan(culprit.value).any():
        return f"{case.at} holds {np.isnan(culprit.value).sum()} NaN."
    if culprit.part == "update" and isinstance(case.config.optimizer, AdamConfig):
        second = case.tensor(f"second/{culprit.name.partition('/')[2]}")
        if negative := int((culprit.bad & (second.value < 0)).sum()):
            return f"{second.name} held {negative} negative values before the step, which no sum of squares is."
    return None


def _low_precision_overflow(case: Case) -> str | None:
    precision = case.config.training.precision
    if precision not in ("float16", "bfloat16"):
        return None
    training = replace(case.config.training, precision="float32")
    again = trace_step(replace(case.config, training=training), without_loss_scale(case.state), case.batch)
    if first_bad(again):
        return None
    value = next((entry.largest for entry in again if entry.name == case.culprit.name), None)
    size = "" if value is None else f", where {case.culprit.name} reaches {value:.3g}"
    return f"{case.at} overflows in {precision}; the same step in float32 is finite{size}."


def _unnormalised_probabilities(case: Case) -> str | None:
    if case.config.loss.name != "answer":
        return None
    sums = case.tensor("nodes_sum")
    least = float(np.abs(sums.value).min())
    chain = ("nodes_probabilities", "nodes_clipped", "nodes_log", "nodes_cross_entropy", "gradient/nodes_sum")
    if case.culprit.name in (*chain, "gradient/nodes_logits", "gradient/nodes_probabilities"):
        return f"{case.at} is not finite; the smallest sum of an atom's raw outputs is {least:.3g} in absolute value."
    return None


def _loss_weight(case: Case) -> str | None:
    weights = case.config.loss.weights
    if max(weights.values()) < LARGE_WEIGHT:
        return None
    ones = replace(case.config, loss=replace(case.config.loss, weights=dict.fromkeys(weights, 1.0)))
    if first_bad(trace_step(ones, case.state, case.batch)):
        return None
    told = " and ".join(f"{weight:g}" for weight in weights.values())
    return f"{case.at} is not finite with loss weights {told}; with 1 and 1 the step is."


def _epsilon(case: Case) -> str | None:
    optimizer = case.config.optimizer
    if not (case.culprit.name.startswith("update/") and isinstance(optimizer, AdamConfig) and optimizer.epsilon == 0):
        return None
    name = case.culprit.name.partition("/")[2]
    second = case.tensor(f"new_second/{name}")
    zeros = int((case.culprit.bad & (second.value == 0)).sum())
    return f"{zeros} weights of {name} have a second moment of exactly 0, and epsilon is 0." if zeros else None


def _labels_not_a_distribution(case: Case) -> str | None:
    """A cross-entropy below zero is the proof that the labels matter: of distributions it cannot be."""
    if case.label_warning is None:
        return None
    terms = [entry.value for entry in case.trace if entry.name.endswith("_cross_entropy") and entry.part == "loss"]
    least = min((float(np.nanmin(values)) for values in terms if np.isfinite(values).any()), default=0.0)
    if least >= BELOW_ZERO:
        return None
    return (
        f"The cross-entropy has fallen to {least:.3g} in places of this batch, and {case.at} is the first to overflow; "
        f"{case.label_warning}"
    )


def _learning_rate(case: Case) -> str | None:
    if moved := _moved_by_large_steps(case.config, case.state):
        return f"{moved}; {case.at} is the first to overflow."
    return None


def _moved_by_large_steps(config: Config, state: State) -> str | None:
    """Whether the weights are where large steps alone have brought them.

    A step of Adam's is hardly ever longer than a few times its rate; one of plain gradient descent can have any length.
    """
    rate, initial = config.optimizer.learning_rate, initial_weights(config.model, config.seed)
    now = decoder_state(config.model, state)
    spread = float(np.median([value.std() for name, value in initial.items() if name.endswith("/kernel")]))
    largest = max(float(np.abs(value).max()) for value in initial.values())
    drift = max(float(np.abs(now.weights[name] - value).max()) for name, value in initial.items())
    if drift < GROWN * largest:
        return None
    bounded = isinstance(config.optimizer, AdamConfig)
    if bounded and (rate < LARGE_STEP * spread or drift > 10 * rate * max(now.iterations, 1)):
        return None
    steps = "1 step" if now.iterations == 1 else f"{now.iterations} steps"
    return (
        f"After {steps} at a rate of {rate:g} weights have moved by up to {drift:.3g}, "
        f"from initial values with a standard deviation of {spread:.2g}"
    )


def _weight_overflow(case: Case) -> str | None:
    initial = initial_weights(case.config.model, case.config.seed)
    largest = max(float(np.abs(value).max()) for value in initial.values())
    weights = decoder_state(case.config.model, case.state).weights
    name, size = max(((name, float(np.abs(value).max())) for name, value in weights.items()), key=lambda pair: pair[1])
    if not size > BEYOND * largest:
        return None
    return f"{name} reaches {size:.3g}; no initial weight is beyond {largest:.2g}. {case.at} is the first to overflow."


def _activation_overflow(case: Case) -> str | None:
    if case.culprit.part != "activation":
        return None
    alpha = f"; model.alpha is {case.config.model.alpha:g}" if case.culprit.operation == LEAKY_RELU else ""
    names = [entry.name for entry in case.trace if entry.part == "activation"]
    before = {entry.name: entry.largest for entry in case.trace}
    grown = ", ".join(f"{name} {before[name]:.3g}" for name in names[: names.index(case.culprit.name)][-4:])
    return f"{case.at} overflows{alpha}; largest values before it: {grown or 'none'}."


RULES: dict[str, Callable[[Case], str | None]] = {
    "bad_input": _bad_input,
    "corrupted_state": _corrupted_state,
    "low_precision_overflow": _low_precision_overflow,
    "unnormalised_probabilities": _unnormalised_probabilities,
    "loss_weight": _loss_weight,
    "epsilon": _epsilon,
    "learning_rate": _learning_rate,
    "weight_overflow": _weight_overflow,
    "labels_not_a_distribution": _labels_not_a_distribution,
    "activation_overflow": _activation_overflow,
}
