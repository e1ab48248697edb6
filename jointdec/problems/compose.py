"""``problem=...`` on a command line: its groups become known to Hydra before it composes."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.config_store import ConfigStore

from jointdec.errors import UserError
from jointdec.problems import ARRAYS, SHIPPED, find, is_file, ships

OWN = "own"  # the option of the group problem that a file or module of the user's is for Hydra
PREFIX = "problem="


def with_problem(arguments: Sequence[str]) -> list[str]:
    """The same command line for Hydra, whose grammar does not know paths.

    Raises:
        UserError: there is no such problem, it cannot be used, or several are named.
    """
    named = [argument for argument in arguments if argument.startswith((PREFIX, f"+{PREFIX}"))]
    if len(named) > 1:
        raise UserError(f"{' '.join(named)}: a command trains one problem, name it once.")
    for name in SHIPPED:
        if name not in ("molecules", ARRAYS):
            register(name, name)
    _register_arrays(arguments)
    _named[:] = [spec_of(argument) for argument in named]
    if not named:
        return list(arguments)
    spec = _named[0]
    if not ships(spec):
        if "," in spec and not is_file(spec):
            raise UserError(f"{named[0]}: a command trains one problem; start one for each.")
        register(OWN, spec)
        spec = OWN
    elif spec not in SHIPPED:
        find(spec)
    return [f"{PREFIX}{spec}" if argument is named[0] else argument for argument in arguments]


_named: list[str] = []  # the problem of the command line that was seen last


def keys_of_named() -> set[str]:
    """The keys that the problem of the command line brings; none of the molecules, whose are in conf/."""
    groups = None
    if _named and _named[0] != ARRAYS:
        problem = find(_named[0])
        groups = problem.groups()
    if groups is None:
        return set()
    keys = {f"{group}.{key}" for group, values in groups.items() for key in values}
    return keys | {f"loss.weights.{head}" for head in problem.heads} | {f"loss.terms.{term}" for term in problem.terms}


def typed_problem(arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Overrides as they were typed, of those that Hydra was given."""
    named = [argument for argument in arguments if argument.startswith((PREFIX, f"+{PREFIX}"))]
    return [named[0] if named and override == f"{PREFIX}{OWN}" else override for override in overrides]


def spec_of(argument: str) -> str:
    """What stands behind ``problem=``, without the quotes that Hydra wants round some paths."""
    value = argument.partition("=")[2].strip()
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _register_arrays(arguments: Sequence[str]) -> None:
    """The option whose heads are in the file that ``data.path=`` names.

    Whether it was asked for, perhaps by an experiment, only Hydra knows: what is wrong with the file is told then, by
    `find` again.
    """
    paths = [spec_of(argument) for argument in arguments if argument.startswith("data.path=")]
    spec = f"{ARRAYS}:{paths[-1] if paths else ''}"
    try:
        register(ARRAYS, spec)
    except UserError:
        node = {"problem": spec, "loss": {"weights": {}, "terms": {}}}
        ConfigStore.instance().store(group="problem", name=ARRAYS, package="_global_", node=node)


def register(option: str, spec: str) -> None:
    """Make a problem an option of the group ``problem`` that brings the groups data and model, heads and terms."""
    problem = find(spec)
    groups = problem.groups()
    if groups is None:
        return
    ConfigStore.instance().store(
        group="problem",
        name=option,
        package="_global_",
        node={
            "defaults": [{"override /data": None}, {"override /model": None}, "_self_"],
            "problem": spec,
            **groups,
            "training": {"jit": "auto"},  # what XLA makes of a model that jointdec has never seen is found out
            "loss": {
                "weights": {name: float(head.weight) for name, head in problem.heads.items()},
                "terms": dict.fromkeys(problem.terms, 1.0),
            },
        },
    )
