"""jointdec: train, compare and explain formulations of one loss over several outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jointdec.dataset import Dataset as Dataset
    from jointdec.divergence.explain import Explanation as Explanation
    from jointdec.divergence.explain import explain as explain
    from jointdec.door import fit as fit
    from jointdec.fitting.run import Run as Run
    from jointdec.problem import Head as Head
    from jointdec.problem import Problem as Problem

PLACES = {
    "Dataset": "jointdec.dataset",
    "Explanation": "jointdec.divergence.explain",
    "Head": "jointdec.problem",
    "Problem": "jointdec.problem",
    "explain": "jointdec.divergence.explain",
    "Run": "jointdec.fitting.run",
    "fit": "jointdec.door",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (whatever has this name)
    """The Python door, loaded when it is opened: ``--help`` of a command needs no TensorFlow."""
    if name not in PLACES:
        raise AttributeError(f"module 'jointdec' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(PLACES[name]), name)


def __dir__() -> list[str]:
    return [*PLACES]
