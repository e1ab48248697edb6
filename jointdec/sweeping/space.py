"""The search space: Hydra's sweep syntax, ``loss.weights.price=tag(log,interval(0.1,10))``, as Optuna's distributions.

A number is whole or not as its key is in the configuration, however the bounds are written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from jointdec.config import Config
from jointdec.errors import UserError
from jointdec.sweeping.points import Configure, Point, Value, is_group, override_of, value_of

WEIGHTED = ("train/loss", "val/loss")
TOGETHER = ("training.name", "training.precision")  # see jointdec.config._check_combination
SYNTAX = "interval(0.1,10), tag(log,interval(0.1,10)), range(1,10,2) or choice(a,b)"


@dataclass(frozen=True)
class Dimension:
    """What is searched: the key as it stands on the command line, and the values that it may take."""

    key: str
    distribution: BaseDistribution

    def suggest(self, trial: Trial) -> Value:
        """The trial's value; the sampler decides."""
        match self.distribution:
            case FloatDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_float(self.key, low, high, step=step, log=log)
            case IntDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_int(self.key, low, high, step=step, log=log)
            case CategoricalDistribution(choices=choices):
                return trial.suggest_categorical(self.key, choices)
        raise TypeError(f"{type(self.distribution).__name__} is no distribution of jointdec's")

    @property
    def text(self) -> str:
        """The values as they are typed on the command line."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return f"choice({','.join(map(str, choices))})"
            case (
                FloatDistribution(low=low, high=high, step=None, log=log)
                | IntDistribution(low=low, high=high, step=1, log=log)
            ):
                return f"tag(log,interval({low},{high}))" if log else f"interval({low},{high})"
        return f"range of {', '.join(map(str, self.values))}"

    @property
    def ends(self) -> tuple[Value, ...]:
        """The choices; of numbers the smallest and the largest."""
        if isinstance(self.distribution, CategoricalDistribution):
            return tuple(self.distribution.choices)
        assert isinstance(self.distribution, FloatDistribution | IntDistribution)
        return (self.distribution.low, self.distribution.high)

    @property
    def values(self) -> tuple[Value, ...]:
        """All values.

        Raises:
            UserError: there are infinitely many, or as good as.
        """
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return tuple(choices)
            case IntDistribution(low=low, high=high, step=step, log=False):
                return tuple(range(low, high + 1, step))
            case FloatDistribution(low=low, high=high, step=float(step)):
                return tuple(round(low + number * step, 12) for number in range(round((high - low) / step) + 1))
        raise UserError(f"{self.key} is no choice or range, so sweep.sampler=grid cannot take all its values.")


Space = Sequence[Dimension]


def make_space(searched: Sequence[Override], configure: Configure) -> Space:
    """The space that was asked for.

    Raises:
        UserError: nothing is searched; a key does not exist; an interval is empty, or logarithmic and reaches 0.
    """
    if not searched:
        raise UserError(
            f'There is nothing to search: add +search=loss_weights, or "KEY=...", in quotes, with {SYNTAX}.'
        )
    keys = [override.key_or_group for override in searched]
    if elsewhere := [key for key in keys if key.split(".")[0] == "tracking"]:
        raise UserError(f"{elsewhere[0]}: where trials are recorded cannot be searched.")
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise UserError(f"{', '.join(twice)} is searched twice: give one search for each key.")
    groups = [_categorical(override) for override in searched if is_group(override.get_key_element())]
    base = configure({dimension.key: dimension.ends[0] for dimension in groups})
    leaves = [_leaf(override, base) for override in searched if not is_group(override.get_key_element())]
    return groups + leaves


def corners(space: Space, configure: Configure) -> list[Config]:
    """Configurations that show whether all points are valid.

    Limits are bounds, and bound one key each; only what TOGETHER names must also go together. So these, the groups'
    options above all, are combined, and every other key takes each of its ends once for each combination.

    Raises:
        UserError: one is not valid.
    """
    combined = [dimension for dimension in space if is_group(dimension.key) or dimension.key in TOGETHER]
    single = [dimension for dimension in space if dimension not in combined]
    configs = []
    for choice in product(*(dimension.ends for dimension in combined)):
        point: dict[str, Value] = {dimension.key: value for dimension, value in zip(combined, choice, strict=True)}
        point |= {dimension.key: dimension.ends[0] for dimension in single}
        changes = [{dimension.key: end} for dimension in single for end in dimension.ends]
        configs += [_check({**point, **change}, configure) for change in changes or [{}]]
    return configs


def _check(point: Point, configure: Configure) -> Config:
    try:
        return configure(point)
    except UserError as error:
        where = " ".join(override_of(key, value) for key, value in point.items())
        raise UserError(f"The search space has a point that cannot be trained, {where}: {error}") from error


def refuse_moving_target(objectives: Sequence[str], space: Space) -> None:
    """Refuse to search the weights of the loss that is to become small: it is smallest where they are.

    Raises:
        UserError: that was asked for.
    """
    weighted = [name for name in objectives if name in WEIGHTED]
    if weighted and any(dimension.key.startswith(("loss.weights", "loss.terms")) for dimension in space):
        raise UserError(
            f"sweep.objective is {weighted[0]}, the weighted sum whose weights the search moves: it would find the "
            "smallest weights. Use a metric, or the loss of one head, as val/HEAD."
        )


def grid(space: Space) -> list[Point]:
    """All points, the last dimension's values next to each other.

    Raises:
        UserError: a dimension is an interval.
    """
    values = product(*(dimension.values for dimension in space))
    return [{dimension.key: value for dimension, value in zip(space, point, strict=True)} for point in values]


def _leaf(override: Override, base: Config) -> Dimension:
    key = override.get_key_element()
    sweep, kind = override.value(), type(value_of(base, key))
    if isinstance(sweep, ChoiceSweep):
        return _categorical(override, kind)
    if kind not in (int, float):
        raise UserError(f"{override.input_line}: {key} is no number, so use choice(a,b).")
    if isinstance(sweep, RangeSweep):
        return Dimension(key, _range(override, sweep, kind))
    if isinstance(sweep, IntervalSweep):
        return Dimension(key, _interval(override, sweep, kind))
    raise UserError(f"{override.input_line}: a search is written as {SYNTAX}.")


def _categorical(override: Override, kind: type = str) -> Dimension:
    key, sweep = override.get_key_element(), override.value()
    if not isinstance(sweep, ChoiceSweep):
        raise UserError(f"{override.input_line}: {key} is a word, so use choice(a,b).")
    choices = [_choice(element, kind) for element in sweep.list]
    if not choices or len(set(choices)) < len(choices):
        raise UserError(f"{override.input_line}: give choices that differ.")
    return Dimension(key, CategoricalDistribution(choices))


def _choice(element: Any, kind: type) -> Value:  # noqa: ANN401 (whatever Hydra parsed)
    if kind is float and isinstance(element, int) and not isinstance(element, bool):
        return float(element)
    if element is None or isinstance(element, bool | int | float | str):
        return element
    return str(Override._get_value_element_as_str(element))  # lists, quoted words: as typed


def _range(override: Override, sweep: RangeSweep, kind: type) -> BaseDistribution:
    values = [kind(value) for value in sweep.range()]
    if not values:
        raise UserError(f"{override.input_line}: the range is empty; range(START,STOP,STEP) stops before STOP.")
    step = kind(sweep.step)
    if step != sweep.step or values[0] != sweep.start:
        raise UserError(f"{override.input_line}: {override.key_or_group} takes whole numbers.")
    if step < 0:
        raise UserError(f"{override.input_line}: write the range in rising order.")
    if kind is int:
        return IntDistribution(values[0], values[-1], step=step)
    return FloatDistribution(values[0], values[-1], step=step)


def _interval(override: Override, sweep: IntervalSweep, kind: type) -> BaseDistribution:
    text, log = override.input_line, "log" in sweep.tags
    assert sweep.start is not None
    assert sweep.end is not None
    if others := sweep.tags - {"log"}:
        raise UserError(f"{text}: the tag {', '.join(sorted(others))} means nothing here; log is the only one.")
    if not (math.isfinite(sweep.start) and math.isfinite(sweep.end)):
        raise UserError(f"{text}: both ends must be finite.")
    if sweep.start >= sweep.end:
        raise UserError(f"{text}: the interval is empty; write the smaller end first.")
    if log and sweep.start <= 0:
        raise UserError(f"{text}: a logarithmic interval starts above 0.")
    if kind is float:
        return FloatDistribution(sweep.start, sweep.end, log=log)
    if sweep.start != int(sweep.start) or sweep.end != int(sweep.end):
        raise UserError(f"{text}: {override.key_or_group} takes whole numbers.")
    return IntDistribution(int(sweep.start), int(sweep.end), log=log)
