"""The text that a person reads first when a run is opened in MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jointdec.config import Config
from jointdec.labels import LABEL_EFFECT
from jointdec.dataset import Dataset
from jointdec.reporting.findings import Findings
from jointdec.training.result import EpochResult

FORMULATIONS = {
    "joint": "ONE Keras loss that sees both heads (a model whose `compute_loss` is overridden)",
    "split": "one Keras loss a head, added up by `compile(loss={…}, loss_weights={…})`",
    "tf_native": "plain TensorFlow without Keras (tf.Variable, tf.nn, GradientTape)",
    "zero_plus_total": "two Keras losses, of which the first returns 0 and the second the whole cost",
    "mse": "Keras's mean squared error for each head: the probe whether the model or the loss is at fault",
    "tf1_graph": "the program of TensorFlow 1: placeholders, a graph, `Session.run` every step",
    "joint_indexed": "one callable in `compile(loss=…)` that indexes its arguments as if they were the heads",
    "split_indexed": "a callable a head that indexes its arguments as if they held both heads",
    "answer": "`categorical_crossentropy` on the atoms' raw outputs, the masked cross-entropy for bonds",
}


def description(  # noqa: PLR0913, PLR0917 (all that a run knows)
    config: Config,
    dataset: Dataset,
    outcome: str,
    results: Sequence[EpochResult],
    final: Mapping[str, float],
    findings: Findings,
) -> str:
    """Markdown: what was trained on what, how it ended and why, and of a specimen why it is wrong."""
    weights, training = config.loss.weights, config.training
    lines = [
        f"**{config.loss.name}** on **{dataset.name}**: {FORMULATIONS[config.loss.name]}.",
        "",
        f"total = {weights.nodes:g} · nodes + {weights.edges:g} · edges; `{config.model.name}`, "
        f"alpha {config.model.alpha:g}; {len(dataset.train):,} molecules to train on "
        f"(digest `{dataset.digest}`), batch {training.batch_size}, {training.precision}, seed {config.seed}.",
    ]
    if dataset.label_warning:
        lines += ["", f"**Warning**: {dataset.label_warning} {LABEL_EFFECT}"]
    lines += ["", f"Outcome: **{outcome}** after {len(results)} of {training.epochs} epochs."]
    for sentence in findings.sentences:
        lines += ["", sentence]
    if config.specimen:
        lines += [
            "",
            f"A **specimen**, kept because it is wrong. {config.specimen.did}",
            "",
            *_found(outcome, findings),
            config.specimen.happens,
            "",
            f"Instead: {config.specimen.instead}",
        ]
    if final:
        lines += ["", "| metric | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4f} |" for name, value in final.items()]
    return "\n".join(lines)


def _found(outcome: str, findings: Findings) -> list[str]:
    """Whether it failed as it declares; of a sweep's trials nobody asks."""
    if found := findings.specimen:
        return [f"Found ({found.kind}): {found.evidence}", ""]
    return ["Found nothing of what it declares.", ""] if outcome == "failed" else []
