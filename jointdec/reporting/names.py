"""What heads and metrics are called: by their own names, or by the words that their problem has for them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import cast

from jointdec import problems

SPLITS = {"test": "test", "val": "validation", "train": "training", "step": "training"}
USUAL = {"loss": "total loss", "ms_per_step": "ms/step"}


def words_of(problem: str) -> Mapping[str, str]:
    """The problem's own words, as ``jointdec/problems/PROBLEM/words.py`` has them; none if there is no such file.

    Its keys are names of heads, which stand for their losses, of terms and of metrics, without a split;
    ``head/HEAD``, the head itself; and ``heads' losses``, the functions that its heads are trained with.
    """
    module = part_of(problem, "words")
    return cast(Mapping[str, str], module.WORDS) if module else {}


def part_of(problem: str, name: str) -> ModuleType | None:
    """A module of a problem that jointdec ships, where there is one; of others, which are users' files, None."""
    if not problem.isidentifier() or not Path(problems.__path__[0], problem, f"{name}.py").is_file():
        return None
    return import_module(f"{problems.__name__}.{problem}.{name}")


def name_of(metric: str, words: Mapping[str, str]) -> str:
    """As people call it, without its split: ``test/species_accuracy`` is "species accuracy".

    Args:
        metric: by its name in MLflow, or without a split.
        words: name without the split -> what it is called.
    """
    kind, slash, name = metric.partition("/")
    name = name if slash else metric
    words = {**USUAL, **words}
    known = name in words or not slash or kind in SPLITS
    return words.get(name, name.replace("_", " ")) if known else metric.replace("/", " ")
