"""What a person reads about a run that diverged: what, where, why, what to try; and a picture of the last steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jointdec.divergence.catalogue import CAUSES
from jointdec.divergence.record import NOT_FOUND, Divergence
from jointdec.reporting.curves import (
    BLACK,
    BLUE,
    GREEN,
    VERMILLION,
    dots,
    finite,
    line_styles,
    mark_step,
    set_loss_scale,
    set_positive_log,
)
from jointdec.training.result import EpochResult, Steps, Values, all_norms, all_steps

SHOWN = 200  # steps in the picture
BEFORE, AFTER = 40, 3  # tensors of the trace around the first that is not finite
LAST = 8  # steps in the table
STYLES = ("-", "--", "-.", ":")
COLOURS = (BLACK, BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9")  # the rest of Okabe & Ito's


def divergence_report(divergence: Divergence, results: Sequence[EpochResult], run_id: str | None) -> str:
    """Markdown.

    Args:
        divergence: what was found.
        results: the epochs.
        run_id: MLflow's id; None if the run is not recorded.
    """
    cause = CAUSES[divergence.cause]
    lines = [f"# Diverged in step {divergence.step:,}", "", "## What", "", *_what(divergence)]
    if divergence.tensor != NOT_FOUND:
        lines += ["", "## Where", "", divergence.where]
    lines += ["", f"## Why: {divergence.cause}", "", cause.meaning, "", f"Evidence: {divergence.evidence}"]
    lines += ["", "## What to try", "", cause.remedy]
    if run_id and divergence.override:
        lines += [
            "",
            "Try it on exactly this step, and on those after it:",
            "",
            f"```sh\npython -m jointdec.replay {run_id} {divergence.override}\n```",
        ]
    lines += ["", "## The steps before", "", *_last_steps(results, divergence.step)]
    if divergence.trace:
        lines += ["", "## The step, tensor by tensor", "", *_trace_table(divergence)]
    rows = ", ".join(str(row) for row in divergence.batch.tolist())
    lines += ["", "## The batch", "", f"Rows of the train split, in their order: {rows}."]
    return "\n".join(lines) + "\n"


def _what(divergence: Divergence) -> list[str]:
    if divergence.runaway:
        return [f"The loss `{divergence.tensor}` ran away. Below, its batch from the weights after the epoch."]
    if divergence.tensor == NOT_FOUND:
        return ["Taken again tensor by tensor, the step is finite."]
    operation = next((entry.operation for entry in divergence.trace if entry.name == divergence.tensor), None)
    if operation is None:
        at = f", at **`{divergence.line}`**" if divergence.line else ""
        return [f"Not finite first: **`{divergence.tensor}`**{at}."]
    how = "compiled with XLA (op by op it was finite)" if divergence.compiled else "op by op"
    return [
        f"The first tensor of the step that is not finite is **`{divergence.tensor}`**: {operation}. "
        f"The step was taken again tensor by tensor, {how}, from the weights that it started from."
    ]


def divergence_figure(results: Sequence[EpochResult], step: int) -> Figure:
    """The last 200 steps up to the one that diverged: losses, and the gradient's norm of each layer where it was taken.

    Values that are not finite leave a gap. 9 x 8 inches at 150 dots per inch.
    """
    figure = Figure(figsize=(9, 8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    losses, norms = figure.subplots(2, 1, sharex=True)
    at, curves = _last(*all_steps(results), step)
    for name, style in line_styles(curves).items():
        line = {key: style[key] for key in ("label", "color", "linestyle")}
        losses.plot(at, curves[name], linewidth=1.4, **line, **dots(curves[name]))
    losses.set_ylabel("loss of the batch")
    set_loss_scale(losses, np.concatenate(list(curves.values())))
    at, layers = _last(*all_norms(results), step)
    layers.pop("grad_norm", None)
    for number, (name, values) in enumerate(layers.items()):
        line = {"color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number % len(STYLES)]}
        norms.plot(at, values, label=name, linewidth=1.4, **line, **dots(values))
    norms.set_ylabel("gradient's 2-norm")
    set_positive_log(norms, np.concatenate([np.empty(0), *layers.values()]))
    norms.set_xlabel("optimizer step")
    norms.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for axes in (losses, norms):
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, handlelength=3.5)
    mark_step((losses, norms), step, f"diverged at step {step}")
    return figure


def _last(at: Steps, curves: Mapping[str, Values], step: int) -> tuple[Steps, dict[str, Values]]:
    """What of the curves lies in the last steps up to this one, with NaN for everything that is not finite."""
    shown = (at > step - SHOWN) & (at <= step)
    return at[shown], {name: finite(values[shown]) for name, values in curves.items()}


def _last_steps(results: Sequence[EpochResult], step: int) -> list[str]:
    """A table of the losses, and of the gradient's norm in the steps in which it was taken."""
    steps, losses = all_steps(results)
    measured, norms = all_norms(results)
    norm_of = dict(zip(measured.tolist(), norms.get("grad_norm", ()), strict=False))
    names = ["step", *losses, *(["grad_norm"] if norm_of else [])]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for index in np.flatnonzero((steps > step - LAST) & (steps <= step)):
        number = int(steps[index])
        cells = [f"{values[index]:.4g}" for values in losses.values()]
        if norm_of:
            cells.append(f"{norm_of[number]:.4g}" if number in norm_of else "")
        lines.append(f"| {number} | " + " | ".join(cells) + " |")
    return lines


def _trace_table(divergence: Divergence) -> list[str]:
    names = [entry.name for entry in divergence.trace]
    at = names.index(divergence.tensor) if divergence.tensor in names else len(names)
    lines = ["| tensor | operation | shape | largest finite value | not finite |", "|---|---|---|---|---|"]
    for entry in divergence.trace[max(0, at - BEFORE) : at + AFTER + 1]:
        name = f"**{entry.name}**" if entry.name == divergence.tensor else entry.name
        shape = " x ".join(map(str, entry.value.shape)) or "scalar"
        lines.append(f"| {name} | {entry.operation} | {shape} | {entry.largest:.4g} | {entry.bad.sum():,} |")
    return lines
