"""What looking for NaN costs a step that has none: each tool against the same loop without it, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from cases import Case
from observe import prepare

from jointdec.objective.formulation import make_formulation
from jointdec.objective.keras_formulation import KerasFormulation
from jointdec.problems.molecules.dataset import dense_labels
from jointdec.training import make_training

PLAIN = Case("", "", None, "", "")
Round = Callable[[], float]


class Cost(NamedTuple):
    """A tool's cost: ms/step without and with it (medians), and the median ratio with its quartiles."""

    tool: str
    without: float
    with_it: float
    ratio: float
    lower: float
    upper: float


def measure(rounds: int) -> list[Cost]:
    """Measure all tools.

    Args:
        rounds: timed epochs of each.
    """
    pairs: dict[str, tuple[Round, Round]] = {
        "jointdec's guard, training=compiled": (_compiled("continue"), _compiled("stop")),
        "Keras fit: TerminateOnNaN": (_fit([]), _fit([keras.callbacks.TerminateOnNaN()])),
        "Keras fit without XLA: check_numerics": (_fit([], jit_compile=False), _checked()),
    }
    torch_pair = _torch_pair()
    if torch_pair:
        pairs["PyTorch eager: anomaly mode"] = torch_pair
    costs = []
    for tool, pair in pairs.items():
        for run in pair:
            run()  # compiles
        times = np.array([[run() for run in pair] for _ in range(rounds)])
        ratios = times[:, 1] / times[:, 0]
        lower, upper = np.percentile(ratios, (25, 75))
        without, with_it = np.median(times, axis=0)
        costs.append(Cost(tool, float(without), float(with_it), float(np.median(ratios)), float(lower), float(upper)))
    return costs


def _compiled(on_divergence: str) -> Round:
    config, dataset = prepare(PLAIN, f"training.on_divergence={on_divergence}")
    training, steps = make_training(config, make_formulation(config), dataset), len(dataset.train) // 50

    def run() -> float:
        start = time.perf_counter()
        if on_divergence == "stop":
            training.run_guarded(0, 0, steps)
        else:
            training.run_steps(0, 0, steps, training.policy.norms)
        return 1000 * (time.perf_counter() - start) / steps

    return run


def _fit(callbacks: list[Any], **options: Any) -> Round:  # noqa: ANN401 (Keras's own keywords)
    config, dataset = prepare(PLAIN, "training=fit")
    formulation = make_formulation(config)
    assert isinstance(formulation, KerasFormulation)
    formulation.compile_model(optimizer=keras.optimizers.Adam(1e-3), **options)
    labels, steps = dense_labels(dataset.train), len(dataset.train) // 50

    def run() -> float:
        start = time.perf_counter()
        formulation.model.fit(dataset.train.x, labels, batch_size=50, verbose=0, callbacks=list(callbacks))
        return 1000 * (time.perf_counter() - start) / steps

    return run


def _checked() -> Round:
    """Ops are instrumented when the graph is traced, in the first round."""
    plain = _fit([], jit_compile=False)

    def run() -> float:
        tf.debugging.enable_check_numerics()
        try:
            return plain()
        finally:
            tf.debugging.disable_check_numerics()

    return run


def _torch_pair() -> tuple[Round, Round] | None:
    try:
        import torch
    except ModuleNotFoundError:
        return None
    from torch_decoder import Trainer

    config, dataset = prepare(PLAIN)
    training = make_training(config, make_formulation(config), dataset)
    labels, steps = dense_labels(dataset.train), len(dataset.train) // 50

    def make(detect: bool) -> Round:
        trainer = Trainer(config, training.state())

        def run() -> float:
            start = time.perf_counter()
            with torch.autograd.set_detect_anomaly(detect):
                for step in range(steps):
                    rows = slice(50 * step, 50 * (step + 1))
                    trainer.step(dataset.train.x[rows], {head: array[rows] for head, array in labels.items()})
            return 1000 * (time.perf_counter() - start) / steps

        return run

    return make(False), make(True)
