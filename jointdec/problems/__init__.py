"""The problems that ship, and those of the user's: from ``problem=...`` to a `jointdec.problem.Problem`.

``problem`` is the name of one that ships or that an installed package offers as an entry point of the group
``jointdec.problems``; a file, ``house.py`` or ``folder/house.py``; or a module, ``mypackage.house``. A file or module
must hold ``problem = jointdec.Problem(...)``.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from jointdec.errors import BadProblem, UserError, did_you_mean
from jointdec.problem import Problem
from jointdec.problems.blame import blame
from jointdec.quiet import quiet_stderr

SHIPPED = ("molecules", "arrays", "gaussian", "multimnist", "penguins", "properties")
DEFAULT = "molecules"  # also the problem of all records from before there were several
ARRAYS = "arrays"  # whose heads are those of a file: arrays:my.npz


def find(spec: str) -> Problem:
    """The problem of this name, file or module; the same one at every call of a process.

    Raises:
        BadProblem: there is none, or it cannot be used; the sentence names the user's file and line.
    """
    if spec.partition(":")[0] == ARRAYS:
        return _of_arrays(spec.partition(":")[2])
    if spec in SHIPPED:
        return _of_module(f"jointdec.problems.{spec}", spec)
    if is_file(spec):
        return _of_file(str(Path(spec).expanduser().absolute()), spec)
    installed = {entry.name: entry for entry in entry_points(group="jointdec.problems")}
    if spec in installed:
        return _named(_called(installed[spec].load, f"the entry point {spec}"), spec, spec)
    if "." in spec:
        return _of_module(spec, spec)
    known = [*SHIPPED, *sorted(installed)]
    raise BadProblem(
        f"problem is {spec!r}{did_you_mean(spec, known)}, but must be {', '.join(known)}, a file as house.py, or a "
        "module as mypackage.house."
    )


def is_file(spec: str) -> bool:
    """Whether it names a file, not a module."""
    return spec.endswith(".py") or "/" in spec or "\\" in spec


def ships(spec: str) -> bool:
    """Whether it is one of jointdec's own, which a record may name without anybody's code being run."""
    return spec.partition(":")[0] in SHIPPED


@cache
def _of_arrays(path: str) -> Problem:
    from jointdec.problems.arrays import of_file

    return _named(of_file(path), ARRAYS, path)


@cache
def _of_file(path: str, spec: str) -> Problem:
    file = Path(path)
    if not file.is_file():
        raise BadProblem(f"problem is {spec!r}, but there is no such file in {file.parent}.")
    text = file.read_bytes()
    _refuse_twins(text, file)
    name = f"jointdec_problem_{file.stem}"
    found = importlib.util.spec_from_file_location(name, file)
    if found is None or found.loader is None:
        raise BadProblem(f"problem is {spec!r}, but must be a Python file, house.py.")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent))  # it may import what lies beside it
    loader = found.loader
    _called(lambda: loader.exec_module(module), file.name)
    problem = _named(_in(module, file.name), file.stem, spec)
    object.__setattr__(problem, "file", file)
    object.__setattr__(problem, "digest", hashlib.sha256(text).hexdigest()[:16])
    return problem


@cache
def _of_module(name: str, spec: str) -> Problem:
    try:
        with quiet_stderr():
            module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise
        raise BadProblem(
            f"problem is {spec!r}, but there is no module {error.name!r} here: install it, or name a file as house.py."
        ) from error
    except UserError:
        raise
    except Exception as error:
        raise BadProblem(blame(error, f"module {name}")) from error
    problem = _named(_in(module, f"module {name}"), spec.rpartition(".")[2], spec)
    if module.__file__ and not ships(spec):
        object.__setattr__(problem, "file", Path(module.__file__))
        object.__setattr__(problem, "digest", hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()[:16])
    return problem


def _called(call: Any, what: str) -> Any:  # noqa: ANN401 (a function of the user's)
    try:
        with quiet_stderr():
            return call()
    except SyntaxError as error:
        raise BadProblem(f"{Path(error.filename or what).name}:{error.lineno}: {error.msg}.") from error
    except Exception as error:
        raise BadProblem(blame(error, what)) from error


def _in(module: ModuleType, where: str) -> Any:  # noqa: ANN401 (whatever the user has put there)
    if not hasattr(module, "problem"):
        raise BadProblem(f"{where} defines no problem: it must hold problem = jointdec.Problem(...).")
    return module.problem


def _named(problem: Any, name: str, spec: str) -> Problem:  # noqa: ANN401
    if not isinstance(problem, Problem):
        raise BadProblem(
            f"problem in {spec} is {type(problem).__name__} {problem!r:.60}, but must be a jointdec.Problem(...)."
        )
    object.__setattr__(problem, "name", name)
    return problem


def _refuse_twins(text: bytes, file: Path) -> None:
    """Refuse two heads of one name: Python would keep the second and say nothing."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return  # told when it is run
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        for keyword in call.keywords:
            if keyword.arg in ("heads", "terms", "metrics") and isinstance(keyword.value, ast.Dict):
                names = [key.value for key in keyword.value.keys if isinstance(key, ast.Constant)]
                twins = [name for number, name in enumerate(names) if name in names[:number]]
                if twins:
                    raise BadProblem(f"{file.name}:{keyword.value.lineno}: {keyword.arg} has {twins[0]!r} twice.")
