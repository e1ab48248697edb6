"""The floor of jointdec's own program: one XLA program an epoch that trains and does nothing else."""

from __future__ import annotations

import time
from typing import Any

import tensorflow as tf
from problem import Contender, Problem, Round

from jointdec.objective.formulation import make_formulation
from jointdec.problems.molecules.native_optimizer import NativeOptimizer
from jointdec.training.evaluation import on_device

Tensor = Any  # TensorFlow has no types


def bare(problem: Problem) -> Contender:
    """The model, loss and Adam in a while loop; the sum of the losses alone comes out."""
    config, formulation = problem.config, make_formulation(problem.config)
    variables = {name: variable.value for name, variable in formulation.variables.items()}
    adam = NativeOptimizer(variables, config.optimizer)
    molecules = on_device(problem.molecules, tf.float32)

    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def program(features: Tensor, labels: dict[str, Tensor], batches: Tensor) -> Tensor:
        def body(step: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
            x, y = tf.nest.map_structure(lambda array: tf.gather(array, batches[step]), (features, labels))
            with tf.GradientTape() as tape:
                loss = formulation.loss(formulation.labels(y, "float32"), formulation.heads(x))["loss"]
            adam.apply(tape.gradient(loss, list(variables.values())))
            return step + 1, total + loss

        state = (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(lambda step, _: step < problem.steps, body, state)[1] / problem.steps

    def epoch(number: int) -> Round:
        batches = problem.batches(number)
        start = time.perf_counter()
        loss = float(program(molecules.x, molecules.y, tf.constant(batches)).numpy())
        return Round(1000 * (time.perf_counter() - start) / problem.steps, loss)

    return epoch
