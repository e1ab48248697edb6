"""From a point of the search space to a checked configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jointdec.command import one_sentence
from jointdec.config import GROUPS, Config, conf_folder, leaves, parse
from jointdec.errors import UserError, did_you_mean
from jointdec.problems import DEFAULT, find
from jointdec.problems.compose import typed_problem, with_problem

Value = None | bool | int | float | str
Point = Mapping[str, Value]  # key as on the command line -> value
Configure = Callable[[Point], Config]

SWEEP_GROUP, SEARCH_GROUP = "sweep", "search"


class Request(NamedTuple):
    """A command line, taken apart.

    Attributes:
        settings: the values of the group ``sweep``.
        searched: overrides with a sweep in them, those of the option of ``search`` included.
        fixed: the other overrides of the configuration, as typed.
        problem: what is trained.
        name: the options of ``experiment`` and ``search``, as a name for the study.
    """

    settings: dict[str, Any]
    searched: list[Override]
    fixed: list[str]
    problem: str
    name: str


def take_apart(overrides: Sequence[str]) -> Request:
    """What a command line of ``jointdec.sweep`` asks for.

    A value for a key that the option of ``search`` searches takes its place: ``model.alpha=0.1`` fixes alpha.

    Raises:
        UserError: Hydra does not understand it.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(with_problem(overrides))
        searched = [override for override in parsed if override.is_sweep_override()]
        others = [override for override in parsed if not override.is_sweep_override()]
        for override in searched:
            if override.key_or_group.split(".")[0] in (SWEEP_GROUP, SEARCH_GROUP):
                raise UserError(f"{override.input_line}: a study cannot search its own settings.")
        lines = typed_problem(overrides, [str(override.input_line) for override in others])
        composed = _compose([f"+{SWEEP_GROUP}=default", *lines])
        file: Any = OmegaConf.to_container(composed.get(SEARCH_GROUP, OmegaConf.create()))
        typed = {override.key_or_group for override in parsed}
        more = [f"{key}={text}" for key, text in file.items() if key not in typed]
        searched = OverridesParser.create().parse_overrides(more) + searched
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(one_sentence(error)) from error
    for override in searched:
        if not override.is_sweep_override():
            raise UserError(f"conf/search has {override.input_line}, which is no search but one value.")
    chosen = {override.key_or_group: str(override.value()) for override in others}
    settings: Any = OmegaConf.to_container(composed[SWEEP_GROUP], resolve=True)
    return Request(
        settings=settings,
        searched=searched,
        fixed=[line for line in lines if re.split(r"[.=]", line.lstrip("+"))[0] not in (SWEEP_GROUP, SEARCH_GROUP)],
        problem=str(composed.problem),
        name="-".join([chosen.get("experiment", _told(composed)), chosen.get(SEARCH_GROUP, SEARCH_GROUP)]),
    )


def _told(composed: DictConfig) -> str:
    """What a study without an experiment is named after: its problem, of the first problem its formulation."""
    problem = str(composed.problem)
    return str(composed.loss.name) if problem == DEFAULT else re.sub(r"[^\w.+-]+", "-", find(problem).name)


class Points:
    """Makes configurations of points. Hydra composes once for each combination of groups, which takes 50 ms.

    Args:
        fixed: overrides that hold at every point.
    """

    def __init__(self, fixed: Sequence[str]) -> None:
        self._fixed = fixed
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def __call__(self, point: Point) -> Config:
        """The configuration at a point.

        Raises:
            UserError: it is not valid.
        """
        groups = tuple(override_of(key, value) for key, value in point.items() if is_group(key))
        try:
            if groups not in self._composed:
                self._composed[groups] = _compose([*self._fixed, *groups])
            composed = deepcopy(self._composed[groups])
            for key, value in point.items():
                if not is_group(key):
                    OmegaConf.update(composed, key, _plain(key, value), merge=False)
            return parse(composed)
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(one_sentence(error)) from error


def is_group(key: str) -> bool:
    """Whether the key chooses an option of a group."""
    return key.lstrip("+") in (*GROUPS, "data", "model", "experiment")


def override_of(key: str, value: Value) -> str:
    """As it is typed on the command line."""
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def overrides_of(fixed: Sequence[str], point: Point) -> list[str]:
    """What one would type to train a point; a group's choice stands before the values in it."""
    return [*fixed, *(override_of(key, value) for key, value in point.items())]


def value_of(config: Config, key: str) -> Any:  # noqa: ANN401 (any value of a configuration)
    """The value of a dotted key.

    Raises:
        UserError: there is none.
    """
    known = dict(leaves("", asdict(config)))
    if key not in known:
        raise UserError(
            f"There is no key {key!r}{did_you_mean(key, list(known))}; python -m jointdec.run --cfg job shows all."
        )
    return known[key]


def _compose(overrides: Sequence[str]) -> DictConfig:
    rewritten = with_problem(overrides)
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("config", overrides=rewritten)


def _plain(key: str, value: Value) -> Any:  # noqa: ANN401 (any value of a configuration)
    """Words are parsed again: a list is kept as it was typed."""
    return OverridesParser.create().parse_override(override_of(key, value)).value() if isinstance(value, str) else value
