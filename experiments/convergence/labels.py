"""Does it matter whether the loss passes a gradient into the labels, as TensorFlow 2's operation does and 1's does not?

Labels are data: no variable is behind them, so whatever flows into them goes nowhere. Checked, not argued: two
trainings that differ in nothing but the operation.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from levels import REFERENCE, Plan, configure

from jointdec.dataset import Split
from jointdec.objective.formulation import Labels, Tensor
from jointdec.problems import find
from jointdec.problems.molecules.load import load
from jointdec.problems.molecules.tf_native import TfNative
from jointdec.training.evaluation import on_device
from jointdec.training.problem_loop import CompiledTraining


class LabelsStopped(TfNative):
    """The same loss with TensorFlow 1's operation, which stops the gradient to the labels."""

    def loss(self, labels: Labels, heads: Labels, weights: Labels | None = None) -> dict[str, Tensor]:
        """See `jointdec.objective.formulation.Formulation.loss`."""
        return super().loss({head: tf.stop_gradient(tensor) for head, tensor in labels.items()}, heads)


def compare(plan: Plan) -> list[dict[str, float]]:
    """Of each seed the largest difference in curves and in weights between the two trainings of the reference."""
    configs = [configure(plan, REFERENCE, {"loss": "tf_native", "seed": seed}) for seed in plan.seeds]
    dataset = load(configs[0].data)
    passing, stopped = (kind(find("molecules"), configs[0]) for kind in (TfNative, LabelsStopped))
    assert passes_gradient(passing, dataset.train)
    assert not passes_gradient(stopped, dataset.train)
    trainings = [CompiledTraining(configs[0], formulation, dataset) for formulation in (passing, stopped)]
    rows = []
    for config in configs:
        taken = []
        for training in trainings:
            training.start_over(config)
            steps = training.run_steps(0, 0, plan.label_steps, 1)
            taken.append(np.concatenate([steps.rows, steps.norms], axis=1))
        weights = [formulation.get_weights() for formulation in (passing, stopped)]
        apart = max(float(np.abs(weights[0][name] - weights[1][name]).max()) for name in weights[0])
        curves = float(np.abs(taken[0] - taken[1]).max())
        rows.append({"seed": config.seed, "steps": plan.label_steps, "curves": curves, "weights": apart})
    return rows


def passes_gradient(formulation: TfNative, molecules: Split) -> bool:
    """Whether its loss has a gradient with respect to the labels."""
    data = on_device(molecules.rows(np.arange(8)), tf.float32)
    heads = formulation.heads(data.x)
    labels = formulation.labels(data.y, "float32")
    with tf.GradientTape() as tape:
        tape.watch(labels)
        loss = formulation.loss(labels, heads)["loss"]
    return all(gradient is not None for gradient in tape.gradient(loss, labels).values())
