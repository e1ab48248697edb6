"""The text that a person reads first when a run is opened in MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jointdec.config import Config
from jointdec.data.dataset import Dataset
from jointdec.training.result import EpochResult

FORMULATIONS = {
    "joint": "ONE Keras loss that sees both heads (a model whose `compute_loss` is overridden)",
    "split": "one Keras loss a head, added up by `compile(loss={…}, loss_weights={…})`",
    "tf_native": "plain TensorFlow without Keras (tf.Variable, tf.nn, GradientTape)",
}


def description(
    config: Config,
    dataset: Dataset,
    outcome: str,
    results: Sequence[EpochResult],
    final: Mapping[str, float],
) -> str:
    """Markdown: what was trained on what, how it ended."""
    weights, training = config.loss.weights, config.training
    lines = [
        f"**{config.loss.name}** on **{dataset.name}**: {FORMULATIONS[config.loss.name]}.",
        "",
        f"total = {weights.nodes:g} · nodes + {weights.edges:g} · edges; `{config.model.name}`, "
        f"alpha {config.model.alpha:g}; {len(dataset.train):,} molecules to train on "
        f"(digest `{dataset.digest}`), batch {training.batch_size}, {training.precision}, seed {config.seed}.",
    ]
    if not dataset.is_molecules:
        lines += ["", "These labels are no distributions: the loss has no lower bound."]
    lines += ["", f"Outcome: **{outcome}** after {len(results)} of {training.epochs} epochs."]
    if results and results[-1].diverged_at is not None:
        lines += ["", f"The first value that is not finite came in step {results[-1].diverged_at}."]
    if final:
        lines += ["", "| metric | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4f} |" for name, value in final.items()]
    return "\n".join(lines)
