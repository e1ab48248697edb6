"""What heads and metrics are called, by their own names or their problem's words; of which metrics more is better."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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


SHARES = (  # last words of metrics from 0 to 1, of which 1 is best
    *("accuracy", "acc", "exact", "all_right", "top_k", r"top_\d+"),
    *("auc", "precision", "recall", "sensitivity", "specificity"),
    *("f1_score", "f_?beta_score", "iou", "io_u"),
    *("validity", "uniqueness", "novelty", "connected"),
)
LARGER = ("r2_score", "similarity", "correlation", "true_positives", "true_negatives")  # better, too, but no shares


def is_share(metric: str) -> bool:
    """Whether it is a share of what is right, told by the last word of its name, see `SHARES`.

    The words are those of Keras's metrics and of jointdec's own; a number behind them, as in ``auc_1``, is Keras's.
    """
    return _ends_with(metric, SHARES)


def higher_is_better(metric: str) -> bool:
    """Whether more of it is better: shares and `LARGER`; of everything else, as losses and errors, less is."""
    return _ends_with(metric, (*SHARES, *LARGER))


def _ends_with(metric: str, words: Sequence[str]) -> bool:
    return re.search(rf"(?:^|[/_])(?:{'|'.join(words)})(?:_\d+)?$", metric) is not None
