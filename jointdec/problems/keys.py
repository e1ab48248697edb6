"""Keyword arguments of the user's functions as keys of the configuration: typed, with their defaults.

    def data(path: str = "houses.csv", rows: int = 1000): ...     # data.path, data.rows

Annotations may be bool, int, float, str, lists of these, ``Literal["a", "b"]``, and any of these ``| None``. A keyword
without a default must be given on the command line.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from dataclasses import MISSING, field, fields, make_dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import MISSING as TO_BE_GIVEN
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jointdec.errors import BadProblem

SIMPLE = (bool, int, float, str)


@cache
def schema_of(function: Callable[..., Any], group: str, where: str) -> type[Any]:
    """The keys of a function as a dataclass; its first field is ``name``, the option's.

    Raises:
        BadProblem: a keyword has no annotation, one of another type, or a default that does not fit.
    """
    place = f"{group}() in {where}"
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise BadProblem(f"{place} has an annotation that cannot be read ({error}).") from error
    members: list[tuple[str, Any, Any]] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise BadProblem(f"{place} takes {parameter}, but its keywords are its keys: name each one.")
        if name == "name":
            raise BadProblem(f"{place} has the keyword 'name', which jointdec uses itself: call it otherwise.")
        if parameter.annotation is parameter.empty:
            raise BadProblem(
                f"{place} has the keyword {name!r} without an annotation: write {name}: {_guess(parameter)}."
            )
        annotation = _allowed(hints[name], f"{place} annotates {name!r} with {_text(parameter.annotation)}")
        default = TO_BE_GIVEN if parameter.default is parameter.empty else parameter.default
        members.append((name, annotation, tuple(default) if isinstance(default, list) else default))
    schema = _made(f"{group.title()}Of{where.partition('.')[0].title()}", function.__doc__, tuple(members))
    try:
        OmegaConf.structured(schema)
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        raise BadProblem(
            f"{place} has a default that does not fit its annotation ({str(error).splitlines()[0]})."
        ) from error
    return schema


def defaults_of(schema: type[Any]) -> dict[str, Any]:
    """The keys and their defaults, without ``name``."""
    found = {}
    for member in fields(schema)[1:]:
        made = None if member.default_factory is MISSING else member.default_factory()
        found[member.name] = made if member.default is MISSING else member.default
    return found


@cache
def _made(title: str, doc: str | None, members: tuple[tuple[str, Any, Any], ...]) -> type[Any]:
    """The dataclass of these keys, the same one at every call; its instances find it again in another process."""

    def again(self: Any) -> tuple[Any, ...]:  # noqa: ANN401 (an instance of the class that is made here)
        return _filled, (title, doc, members, vars(self))

    made: list[Any] = [("name", str), *((name, annotation, _field(default)) for name, annotation, default in members)]
    return make_dataclass(title, made, namespace={"__doc__": doc, "__reduce__": again})


def _filled(title: str, doc: str | None, members: tuple[Any, ...], values: dict[str, Any]) -> Any:  # noqa: ANN401
    return _made(title, doc, members)(**values)


def _field(default: Any) -> Any:  # noqa: ANN401 (a dataclass's field)
    if isinstance(default, list | tuple):
        return field(default_factory=lambda: list(default))
    return field(default=default)


def _allowed(annotation: Any, what: str) -> Any:  # noqa: ANN401 (an annotation)
    from jointdec.config import Limits

    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in SIMPLE or origin is Annotated:
        return annotation
    if origin is Literal and all(isinstance(choice, str) for choice in arguments):
        return Annotated[str, Limits(one_of=arguments)]
    if origin in (Union, types.UnionType) and type(None) in arguments and len(arguments) == 2:
        inner = next(argument for argument in arguments if argument is not type(None))
        if get_origin(inner) is Literal:
            return str | None  # one of its words, or nothing: the function sees to it
        return _allowed(inner, what) | None
    if (
        origin in (list, tuple)
        and arguments
        and arguments[0] in SIMPLE
        and set(arguments[1:]) <= {Ellipsis, arguments[0]}
    ):
        return list[arguments[0]]  # type: ignore[valid-type]  # one of SIMPLE
    raise BadProblem(
        f"{what}, but a key is a bool, int, float or str, a list of them, Literal['a', 'b'], or one of them | None."
    )


def _guess(parameter: inspect.Parameter) -> str:
    kind = type(parameter.default)
    known = kind.__name__ if kind in SIMPLE else "int"
    return known if parameter.default is parameter.empty else f"{known} = {parameter.default!r}"


def _text(annotation: Any) -> str:  # noqa: ANN401
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
