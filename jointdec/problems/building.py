"""A model function of the user's, called with its keys, and its outputs by head."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
from keras.src.backend.common.global_state import get_global_attribute, set_global_attribute

from jointdec.errors import BadProblem
from jointdec.problems.blame import blamed

if TYPE_CHECKING:
    from jointdec.config import Config
    from jointdec.dataset import Dataset
    from jointdec.objective.formulation import Formulation
    from jointdec.problem import Problem

POLICY = "dtype_policy"  # Keras's name of it
POLICIES = {
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
    "float32": "float32",
    "float64": "float64",
}


def build_own(problem: Problem, config: Config) -> keras.Model:
    """The model, its initial weights drawn with the run's seed, its layers in the run's precision.

    Raises:
        BadProblem: the function fails, or gives no Keras model.
    """
    where = f"model() in {problem.where}"
    keys = {each.name: getattr(config.model, each.name) for each in fields(config.model) if each.name != "name"}
    keras.backend.clear_session()  # layers' automatic names, and with them the paths of variables, begin anew
    keras.utils.set_random_seed(config.seed)
    with _precision(config.training.precision), blamed(where):
        model = problem.model(**keys)
    if not isinstance(model, keras.Model):
        raise BadProblem(f"{where} gives a {type(model).__name__}, but must give a keras.Model.")
    return model


@contextmanager
def _precision(precision: str) -> Iterator[None]:
    before = get_global_attribute(POLICY)  # asking Keras for it would fix what follows floatx as long as it is not set
    keras.config.set_floatx("float64" if precision == "float64" else "float32")
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        set_global_attribute(POLICY, before)


def by_head(outputs: Any, model: keras.Model, problem: Problem) -> dict[str, Any]:  # noqa: ANN401 (a tree of tensors)
    """A model's outputs by head, in the order of the heads; others that it may have are left out.

    Raises:
        BadProblem: a head has no output of its name.
    """
    heads = list(problem.heads)
    if not isinstance(outputs, Mapping):
        several = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        names = list(getattr(model, "output_names", None) or [])
        if len(several) == len(heads) == 1:
            names = heads
        outputs = dict(zip(names, several, strict=False))
    if missing := [head for head in heads if head not in outputs]:
        raise BadProblem(
            f"The model of model() in {problem.where} has no output for the head {missing[0]!r}: its outputs are "
            f"{', '.join(map(str, outputs)) or 'nameless'}. Name the layer that ends in it {missing[0]!r}, or return "
            f"keras.Model(inputs, {{{missing[0]!r}: ...}})."
        )
    return {head: outputs[head] for head in heads}


def judge_own(problem: Problem, formulation: Formulation, dataset: Dataset, folder: Path) -> Mapping[str, float]:
    """Call the user's judge; its numbers as ``judge/NAME``.

    Raises:
        BadProblem: it fails, or gives something else than a dict of numbers.
    """
    where = f"judge() in {problem.where}"
    assert problem.judge is not None
    if len(inspect.signature(problem.judge).parameters) != 3:
        raise BadProblem(f"{where} must take (model, dataset, folder).")
    with blamed(where):
        found = problem.judge(formulation.trained_model(), dataset, folder)
    if found is None:
        return {}
    try:
        return {f"judge/{name}": float(value) for name, value in found.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise BadProblem(f"{where} gives {found!r:.80}, but must give a dict of numbers, or nothing.") from error
