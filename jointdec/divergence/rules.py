"""Why an operation gave NaN or Inf: rules on its type and its inputs, each with the numbers that prove it.

A rule gives a sentence of evidence or nothing; the first that gives one names the cause. What none explains is
``unknown``, with the operation as all that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jointdec.divergence.trace import Operation

Array = npt.NDArray[Any]
SUMS = ("Sum", "Mean", "Prod", "Max", "Min")
QUOTIENTS = ("RealDiv", "Div", "Xdivy", "TruncateDiv", "FloorMod", "FloorDiv")
ROOTS = ("Sqrt", "Rsqrt")
LOGS = ("Log", "Log1p", "Xlogy", "Xlog1py")
EDGES = {"Acos": 1.0, "Asin": 1.0, "Atanh": 1.0, "Erfinv": 1.0}  # beyond it, or of the gradient at it
EXPONENTIALS = ("Exp", "Expm1", "Cosh", "Sinh", "Softplus")
SOLVERS = ("Cholesky", "MatrixInverse", "MatrixSolve", "SelfAdjointEigV2", "Svd", "MatrixDeterminant", "Qr")
GROWN = 1e3  # times the largest value that Glorot's initializer gives a weight of this shape
LARGE_WEIGHT = 1e3  # of a loss
HALVES = {"float16": 65504.0}


class Case(NamedTuple):
    """What the rules look at.

    Attributes:
        culprit: the first operation that is not finite and matters.
        masked: operations that are not finite and do not matter.
        variables: by path, as they were before the step.
        updates: that the optimizer had made before; None if that is not known.
        rate: the learning rate; None if it is not known.
        loss_weights: the largest weight of a loss.
    """

    culprit: Operation
    masked: tuple[Operation, ...]
    variables: Mapping[str, Array]
    updates: int | None
    rate: float | None
    loss_weights: float


def find_cause(case: Case) -> tuple[str, str]:
    """The cause, one of `jointdec.divergence.catalogue.CAUSES`, and the evidence."""
    for cause, rule in RULES:
        if evidence := rule(case):
            return cause, evidence
    if case.culprit.type == "given":
        return "unknown", f"{case.culprit.name} is not finite."
    return "unknown", f"{_called(case.culprit)} gave it of finite inputs{_sizes(case.culprit)}."


def _called(operation: Operation) -> str:
    return f"the gradient of {operation.of.type} ({operation.type})" if operation.of else operation.type


def _sizes(operation: Operation) -> str:
    ranges = [_range(array) for array in operation.inputs if array.dtype.kind in "fc" and array.size]
    return f" in {' and '.join(ranges)}" if ranges else ""


def _range(array: Array) -> str:
    finite = array[np.isfinite(array)]
    return f"[{finite.min():.4g}, {finite.max():.4g}]" if finite.size else "nothing finite"


def _values(operation: Operation, index: int) -> Array:
    """An input, as float64; of a gradient, one of what it is the gradient of."""
    arrays = operation.forward_inputs if operation.of else operation.inputs
    return arrays[index].astype(np.float64) if index < len(arrays) else np.empty(0)


def _kind(operation: Operation) -> str:
    return operation.of.type if operation.of else operation.type


def _count(what: str, bad: Array, values: Array) -> str:
    return f"{int(bad.sum()):,} of {bad.size:,} {what}, the first {values[bad].flat[0]:.4g}"


def _bad_input(case: Case) -> str | None:
    culprit = case.culprit
    if culprit.type != "given" or culprit.part != "input":
        return None
    return f"{culprit.name} holds {int((~np.isfinite(culprit.value)).sum()):,} values that are NaN or Inf."


def _bad_initial_value(case: Case) -> str | None:
    culprit = case.culprit
    if culprit.type != "given" or culprit.part != "variable" or case.updates != 0:
        return None
    return f"{culprit.name} holds {int((~np.isfinite(culprit.value)).sum()):,} NaN or Inf, and no update was made yet."


def _corrupted_state(case: Case) -> str | None:
    culprit = case.culprit
    if culprit.type == "given" and culprit.part == "variable":
        return f"{culprit.name} holds {int((~np.isfinite(culprit.value)).sum()):,} NaN or Inf before the step."
    if culprit.part == "update" and culprit.type in ROOTS and (_values(culprit, 0) < 0).any():
        return f"A second moment of {culprit.place.variable} is negative before the step, which no sum of squares is."
    return None


def _regulariser(case: Case) -> str | None:
    functions = case.culprit.place.functions
    if "_get_regularization_losses" in functions or "_get_own_losses" in functions:
        return f"{_called(case.culprit)} in the penalty overflows{_sizes(case.culprit)}."
    return None


def _loss_weight(case: Case) -> str | None:
    if case.loss_weights < LARGE_WEIGHT or case.culprit.part == "update":
        return None
    factors = [float(array) for array in case.culprit.inputs if array.size == 1]
    if _kind(case.culprit) == "Mul" and np.isclose(factors, case.loss_weights, rtol=1e-5).any():
        return f"A loss times its weight of {case.loss_weights:.4g} overflows{_sizes(case.culprit)}."
    return None


def _epsilon(case: Case) -> str | None:
    culprit = case.culprit
    if culprit.part != "update" or culprit.type not in (*QUOTIENTS, "Rsqrt"):
        return None
    below = _values(culprit, -1) if culprit.type != "Rsqrt" else _values(culprit, 0)
    if not (below == 0).any():
        return None
    return f"In the update of {culprit.place.variable} {_count('denominators are 0', below == 0, below)}."


def _low_precision(case: Case) -> str | None:
    culprit, name = case.culprit, case.culprit.value.dtype.name
    if name not in HALVES or culprit.type == "given" or not np.isinf(culprit.value).any():
        return None
    if culprit.type == "Cast" or _grows(culprit):
        return f"{_called(culprit)} in {name} goes beyond {HALVES[name]:,.0f}{_sizes(culprit)}."
    return None


def _grows(operation: Operation) -> bool:
    """Whether it is an operation that has no pole: a product, a sum or an exponential."""
    poles = (*QUOTIENTS, *ROOTS, *LOGS, *EDGES, *SOLVERS, "Reciprocal", "Inv", "Pow")
    finite = all(np.isfinite(array).all() for array in operation.inputs if array.dtype.kind in "fc")
    return finite and operation.type not in poles and not (operation.type in SUMS and 0 in operation.inputs[0].shape)


def _unnormalised(case: Case) -> str | None:
    inside = {"categorical_crossentropy", "sparse_categorical_crossentropy"} & set(case.culprit.place.functions)
    if not inside or _kind(case.culprit) not in QUOTIENTS:
        return None
    below = _values(case.culprit, 1)
    least = f"; the smallest sum of outputs is {np.abs(below).min():.3g} in absolute value" if below.size else ""
    return f"{_called(case.culprit)} in Keras's {inside.pop()} with from_logits=False{least}."


def _empty_mean(case: Case) -> str | None:
    if _kind(case.culprit) in SUMS and any(0 in array.shape for array in case.culprit.inputs[:1]):
        return f"{_called(case.culprit)} over an array of shape {case.culprit.inputs[0].shape}."
    return None


def _gradient_at_zero(case: Case) -> str | None:
    if case.culprit.of is None or _kind(case.culprit) not in (*ROOTS, "Pow", "Norm", "EuclideanNorm"):
        return None
    below = [array.astype(np.float64) for array in (*case.culprit.forward_inputs[:1], *case.culprit.inputs[:1])]
    zeros = next((array for array in below if (array == 0).any()), None)
    if zeros is None or _masked_forward(case):
        return None
    return f"{_called(case.culprit)}: {_count('values are', zeros == 0, zeros)}."


def _masked_forward(case: Case) -> bool:
    return any(case.culprit.of is masked for masked in case.masked)


def _masked_gradient(case: Case) -> str | None:
    if not _masked_forward(case):
        return None
    assert case.culprit.of is not None
    return (
        f"{case.culprit.of.type} gave values that are not finite, which were masked out of the loss; "
        f"its gradient ({case.culprit.type}) was not."
    )


def _log(case: Case) -> str | None:
    kind = _kind(case.culprit)
    if kind not in LOGS:
        return None
    values = _values(case.culprit, 1 if kind.startswith("X") else 0)
    bad = values <= (-1 if "1p" in kind else 0)
    return f"{_called(case.culprit)}: {_count('values are not positive', bad, values)}." if bad.any() else None


def _sqrt(case: Case) -> str | None:
    if _kind(case.culprit) not in ROOTS:
        return None
    values = _values(case.culprit, 0)
    return (
        f"{_called(case.culprit)}: {_count('values are negative', values < 0, values)}." if (values < 0).any() else None
    )


def _maker(operation: Operation, index: int) -> Operation | None:
    return operation.made_of[index] if index < len(operation.made_of) else None


def _comes_from(operation: Operation | None, types: tuple[str, ...]) -> bool:
    return operation is not None and operation.type in types


def _denominator(case: Case) -> tuple[Array, Operation | None]:
    """What is divided by, and what made it."""
    culprit = case.culprit
    kind = _kind(culprit)
    if kind == "Rsqrt" or (kind in ("Reciprocal", "Inv")):
        return _values(culprit, 0), culprit
    if kind in QUOTIENTS:
        return _values(culprit, 1), _maker(culprit.of or culprit, 1)
    return np.empty(0), None


def _zero_norm(case: Case) -> str | None:
    below, maker = _denominator(case)
    if (below == 0).any() and _comes_from(maker, (*ROOTS, "EuclideanNorm")):
        return f"{_called(case.culprit)}: {_count('norms are 0', below == 0, below)}."
    return None


def _empty_sum(case: Case) -> str | None:
    below, maker = _denominator(case)
    if (below == 0).any() and _comes_from(maker, SUMS):
        return f"{_called(case.culprit)}: {_count('sums are', below == 0, below)}."
    return None


def _division(case: Case) -> str | None:
    below, _ = _denominator(case)
    return f"{_called(case.culprit)}: {_count('denominators are', below == 0, below)}." if (below == 0).any() else None


def _power(case: Case) -> str | None:
    if _kind(case.culprit) != "Pow":
        return None
    base, exponent = np.broadcast_arrays(_values(case.culprit, 0), _values(case.culprit, 1))
    bad = ((base < 0) & (exponent != np.round(exponent))) | ((base == 0) & (exponent < 0))
    if not bad.any():
        return None
    power = exponent[bad].flat[0]
    return f"{_called(case.culprit)}: {_count('bases have no such power', bad, base)}, to the power {power:.4g}."


def _outside(case: Case) -> str | None:
    edge = EDGES.get(_kind(case.culprit))
    if edge is None:
        return None
    values = _values(case.culprit, 0)
    bad = np.abs(values) >= edge
    return f"{_called(case.culprit)}: {_count('values are at or beyond 1', bad, values)}." if bad.any() else None


def _masked_softmax(case: Case) -> str | None:
    if case.culprit.type not in ("Softmax", "LogSoftmax", "Sub"):
        return None
    scores = case.culprit.inputs[0]
    other = case.culprit.type == "Sub" and "softmax" not in " ".join(case.culprit.place.functions)
    if scores.ndim == 0 or other:
        return None
    rows = np.isneginf(scores).all(axis=-1)
    return f"In {int(rows.sum()):,} of {rows.size:,} rows every value is -Inf." if rows.any() else None


def _inf_minus_inf(case: Case) -> str | None:
    if case.culprit.type not in ("Sub", "AddV2", "Add", "AddN", "Sum", "Mean", "BiasAdd"):
        return None
    has = [np.isinf(array).any() for array in case.culprit.inputs if array.dtype.kind == "f"]
    return f"{_called(case.culprit)} of Inf and Inf." if any(has) and np.isnan(case.culprit.value).any() else None


def _zero_times_inf(case: Case) -> str | None:
    if case.culprit.type not in ("Mul", "MatMul", "BatchMatMulV2", "Einsum"):
        return None
    arrays = [array for array in case.culprit.inputs if array.dtype.kind == "f"]
    if any(np.isinf(a).any() for a in arrays) and any((a == 0).any() for a in arrays):
        return f"{_called(case.culprit)} of Inf and 0."
    return None


def _singular(case: Case) -> str | None:
    return f"{_called(case.culprit)} has no finite result." if _kind(case.culprit) in SOLVERS else None


def _learning_rate(case: Case) -> str | None:
    if case.culprit.type == "given" and case.culprit.name.endswith("/learning_rate"):
        return f"{case.culprit.name} is {case.culprit.value}."
    return None


def _grown(case: Case) -> str | None:
    if not case.updates or not _grows(case.culprit):
        return None
    for path, value in case.variables.items():
        if value.ndim < 2 or value.dtype.kind != "f" or not np.isfinite(value).all():
            continue
        usual = float(np.sqrt(6 / (np.prod(value.shape[:-1]) + value.shape[-1])))
        if (size := float(np.abs(value.astype(np.float64)).max())) > GROWN * usual:
            rate = "" if case.rate is None else f" at a rate of {case.rate:g}"
            steps = "1 update" if case.updates == 1 else f"{case.updates:,} updates"
            return f"After {steps}{rate} {path} reaches {size:.3g}, where initial weights are within {usual:.2g}."
    return None


def _update_overflow(case: Case) -> str | None:
    if case.culprit.part != "update" or not _grows(case.culprit):
        return None
    rate = "" if case.rate is None else f" at a rate of {case.rate:g}"
    name = case.culprit.place.variable or case.culprit.name
    return f"{case.culprit.type} in the update of {name} overflows{rate}{_sizes(case.culprit)}."


def _exponential(case: Case) -> str | None:
    kind = _kind(case.culprit)
    if kind not in EXPONENTIALS or not np.isinf(case.culprit.value).any():
        return None
    values = _values(case.culprit, 0)
    return f"{_called(case.culprit)} of values up to {np.abs(values).max():.4g}." if values.size else None


def _overflow(case: Case) -> str | None:
    if case.culprit.type == "given" or not _grows(case.culprit) or not np.isinf(case.culprit.value).any():
        return None
    return f"{_called(case.culprit)} overflows{_sizes(case.culprit)}."


RULES: tuple[tuple[str, Callable[[Case], str | None]], ...] = (  # the most certain ones first
    ("bad_input", _bad_input),
    ("learning_rate", _learning_rate),
    ("bad_initial_value", _bad_initial_value),
    ("corrupted_state", _corrupted_state),
    ("masked_gradient", _masked_gradient),
    ("loss_weight", _loss_weight),
    ("epsilon", _epsilon),
    ("low_precision_overflow", _low_precision),
    ("unnormalised_probabilities", _unnormalised),
    ("empty_mean", _empty_mean),
    ("log_of_nonpositive", _log),
    ("sqrt_of_negative", _sqrt),
    ("gradient_at_zero", _gradient_at_zero),
    ("zero_norm", _zero_norm),
    ("empty_sum", _empty_sum),
    ("division_by_zero", _division),
    ("fractional_power", _power),
    ("outside_domain", _outside),
    ("masked_softmax", _masked_softmax),
    ("inf_minus_inf", _inf_minus_inf),
    ("zero_times_inf", _zero_times_inf),
    ("singular_matrix", _singular),
    ("learning_rate", _grown),
    ("regulariser", _regulariser),
    ("update_overflow", _update_overflow),
    ("exponential_overflow", _exponential),
    ("overflow", _overflow),
)
