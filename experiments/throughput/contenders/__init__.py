"""Who takes part: a name, what the tables call it, and the function that makes it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from contender import Contender
    from problem import Problem
    from zoo.problem import Zoo


class Missing(Exception):  # noqa: N818 (nothing went wrong)
    """This machine lacks what a contender needs; the text says what."""


class Entry(NamedTuple):
    """A contender that can be started: ``function`` in ``module`` takes a Problem or a Zoo, and returns a Contender."""

    label: str
    module: str
    function: str


CONTENDERS = {
    "compiled": Entry("jointdec, training=compiled", "contenders.jointdec_program", "compiled"),
    "unguarded": Entry("the same without the guard against divergence", "contenders.jointdec_program", "unguarded"),
    "bare": Entry("the bare program: no curves, norms, validation", "contenders.bare_program", "bare"),
    "loop": Entry("jointdec.run's loop: validation and MLflow too", "contenders.jointdec_program", "loop"),
    "keras": Entry("Keras fit, arrays, defaults", "contenders.keras_fit", "defaults"),
    "keras_xla": Entry("Keras fit, XLA, 50 steps per execution, tf.data", "contenders.keras_fit", "tuned"),
    "tf1": Entry("TF1 graph, Session, feed_dict", "contenders.tf1_graph", "tf1"),
    "torch": Entry("PyTorch eager", "contenders.torch_loop", "eager"),
    "torch_compile": Entry("PyTorch torch.compile", "contenders.torch_loop", "compiled"),
    "jax_step": Entry("JAX, jit of a step", "contenders.jax_loop", "step_by_step"),
    "jax_scan": Entry("JAX, lax.scan over the epoch", "contenders.jax_loop", "scanned"),
    "matmul": Entry("float32 matmul 2048 x 2048 x 2048 (TensorFlow)", "contenders.matmul", "matmul"),
}
FOREIGN = {
    "jointdec": Entry("jointdec.fit", "zoo.jointdec_fit", "whole"),
    "streamed": Entry("jointdec.fit, a quarter of the data in memory", "zoo.jointdec_fit", "streamed"),
    "fit": Entry("fit, defaults", "zoo.keras_fit", "defaults"),
    "tuned": Entry("fit, tuned", "zoo.keras_fit", "tuned"),
    "tuned_xla": Entry("fit, tuned, XLA", "zoo.keras_fit", "tuned_xla"),
    "torch_eager": Entry("PyTorch eager", "zoo.torch_loop", "eager"),
    "torch_whole": Entry("PyTorch, torch.compile", "zoo.torch_loop", "compiled"),
    "jax": Entry("JAX scan", "zoo.jax_scan", "scanned"),
}
ENTRIES = CONTENDERS | FOREIGN


def make(name: str, problem: Problem | Zoo) -> Contender:
    """Build a contender.

    Raises:
        Missing: its framework, or what that needs, is not installed.
    """
    entry = ENTRIES[name]
    try:
        module = import_module(entry.module)
    except ModuleNotFoundError as error:
        raise Missing(f"{error.name} is not installed") from error
    contender: Contender = getattr(module, entry.function)(problem)
    return contender
