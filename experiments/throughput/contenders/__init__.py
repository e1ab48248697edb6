"""Who takes part: a name, what the tables call it, and the function in this folder that makes it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from problem import Contender, Problem


class Missing(Exception):  # noqa: N818 (nothing went wrong)
    """This machine lacks what a contender needs; the text says what."""


class Entry(NamedTuple):
    """A contender that can be started: ``function`` in ``module`` takes a Problem and returns a Contender."""

    label: str
    module: str
    function: str


CONTENDERS = {
    "compiled": Entry("jointdec, training=compiled", "jointdec_program", "compiled"),
    "unguarded": Entry("the same, looking at nothing: no guard, no norms", "jointdec_program", "unguarded"),
    "bare": Entry("the bare program: no curves, norms, validation", "bare_program", "bare"),
    "loop": Entry("jointdec.run's loop: validation and MLflow too", "jointdec_program", "loop"),
    "keras": Entry("Keras fit, arrays, defaults", "keras_fit", "defaults"),
    "keras_xla": Entry("Keras fit, XLA, 50 steps per execution, tf.data", "keras_fit", "tuned"),
    "tf1": Entry("TF1 graph, Session, feed_dict", "tf1_graph", "tf1"),
    "torch": Entry("PyTorch eager", "torch_loop", "eager"),
    "torch_compile": Entry("PyTorch torch.compile", "torch_loop", "compiled"),
    "jax_step": Entry("JAX, jit of a step", "jax_loop", "step_by_step"),
    "jax_scan": Entry("JAX, lax.scan over the epoch", "jax_loop", "scanned"),
    "matmul": Entry("float32 matmul 2048 x 2048 x 2048 (TensorFlow)", "matmul", "matmul"),
}

VARIANTS = {  # of our own program, for guard.py
    "without_norms": Entry("the guard alone", "jointdec_program", "without_norms"),
    "all_norms": Entry("the guard, and the norms of every step", "jointdec_program", "all_norms"),
}


def make(name: str, problem: Problem) -> Contender:
    """Build a contender.

    Raises:
        Missing: its framework, or what that needs, is not installed.
    """
    entry = (CONTENDERS | VARIANTS)[name]
    try:
        module = import_module(f"contenders.{entry.module}")
    except ModuleNotFoundError as error:
        raise Missing(f"{error.name} is not installed") from error
    contender: Contender = getattr(module, entry.function)(problem)
    return contender
