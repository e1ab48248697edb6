"""What the answer's loss does to the atoms' head in training: which atoms still have a gradient, which sums are near 0.

The loss divides an atom's five raw outputs by their sum, clips to [1e-7, 1 - 1e-7] and takes the log. Where the true
class's share is clipped, the gradient of that atom is exactly 0; where the sum is exactly 0, it is NaN.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from jointdec.dataset import Dataset, Split
from jointdec.objective.formulation import CHUNK, Formulation, make_formulation
from jointdec.problems.molecules.load import load
from jointdec.sweeping.points import Points
from jointdec.training.evaluation import on_device
from jointdec.training.problem_loop import CompiledTraining

WATCHED = 2048  # training molecules looked at
NEAR = 1e-3  # sums of outputs that count as near 0
Row = dict[str, float]


def watch(overrides: list[str], seeds: tuple[int, ...], every: int, steps: int) -> list[Row]:
    """Train and look at the atoms' head every so many steps, before the step, until a step is not finite.

    One compilation serves all seeds.
    """
    configure = Points(overrides)
    config = configure({"seed": seeds[0]})
    dataset, formulation = load(config.data), make_formulation(config)
    training = CompiledTraining(config, formulation, dataset)
    rows = []
    for seed in seeds:
        training.start_over(configure({"seed": seed}))
        watched = dataset.train.rows(training.order(0)[:WATCHED])
        for first in range(0, steps + 1, every):
            rows.append(
                {"alpha": config.model.alpha, "seed": seed, "step": first}
                | look(formulation, watched)
                | zero_sums(formulation, dataset)
            )
            taken = training.run_steps(0, first, min(first + every, steps), 1)
            if not all(np.isfinite(values).all() for values in taken):
                break
    return rows


def look(formulation: Formulation, split: Split) -> Row:
    """Shares of the atoms: right ones, and those without any gradient, by whether they are right."""
    right, still, both = [], [], []
    for first in range(0, len(split), CHUNK):
        data = on_device(split.rows(np.arange(first, min(first + CHUNK, len(split)))), tf.float32)
        heads = formulation.heads(data.x)
        labels = formulation.labels(data.y, "float32")
        with tf.GradientTape() as tape:
            tape.watch(heads["nodes"])
            loss = formulation.loss(labels, heads)["nodes"]
        gradient = tape.gradient(loss, heads["nodes"]).numpy()
        hit = heads["nodes"].numpy().argmax(-1) == labels["nodes"].numpy().argmax(-1)
        none = (gradient == 0).all(-1)
        right.append(hit)
        still.append(none & ~hit)
        both.append(none & hit)
    return {
        "right": float(np.concatenate(right).mean()),
        "no_gradient_wrong": float(np.concatenate(still).mean()),
        "no_gradient_right": float(np.concatenate(both).mean()),
    }


def zero_sums(formulation: Formulation, dataset: Dataset) -> Row:
    """How many of an epoch's sums of outputs are near 0, and how many are 0."""
    sums = formulation.logits(dataset.train.x)["nodes_logits"].sum(-1)
    return {"sums": sums.size, "near_zero": int((np.abs(sums) < NEAR).sum()), "zero": int((sums == 0).sum())}
