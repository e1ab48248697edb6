"""The tables of the README."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from effects import (
    BUDGETS,
    OWN_LOSS,
    Effect,
    Runs,
    combined,
    goal,
    loss_effects,
    ranking,
    share_effects,
    speeds,
)
from levels import REFERENCE, Level

THROUGHPUT = Path(__file__).parents[1] / "throughput/results/table.csv"
SHARES = {"node_accuracy": "atoms", "edge_accuracy": "pairs", "exact": "exact"}
NOT_TRAINED = "not trained that far"
LEGEND = (
    "In all tables: means over the seeds, paired with the reference's; intervals of 95 % for all rows of a column at "
    "once (Student, Bonferroni); **bold**: no difference at all is outside of the interval."
)


def text(runs: Runs, levels: Sequence[Level], ratios: Mapping[str, float], labels: Sequence[Mapping[str, str]]) -> str:
    """All tables, as Markdown."""
    parts = [
        start(runs),
        LEGEND,
        "",
        *speed_table(runs, levels, ratios),
        *loss_table(runs, levels, ratios),
        *share_table(runs, levels, ratios),
        *ranking_table(runs, levels, ratios),
        *combined_table(runs, levels),
        *own_loops(runs, loop_times(THROUGHPUT)),
        label_line(labels),
    ]
    return "\n".join(parts)


def start(runs: Runs) -> str:
    """What the reference comes to."""
    reference = runs[REFERENCE.name]
    epochs = reference[0].epochs
    values = {name: [curve.at(name, epochs) for curve in reference] for name in ("loss", *SHARES)}
    means = {name: (np.mean(value), np.std(value, ddof=1)) for name, value in values.items()}
    lost = {name: len(reference) - len(curves) for name, curves in runs.items() if len(curves) < len(reference)}
    told = "".join(f" Of {name} {count} diverged and are left out." for name, count in lost.items())
    shares = ", ".join(f"{SHARES[name]} {100 * means[name][0]:.2f} ± {100 * means[name][1]:.2f} %" for name in SHARES)
    return (
        f"The reference after {epochs} epochs, {epochs * reference[0].steps_per_epoch:,} steps, {len(reference)} seeds "
        f"(mean ± standard deviation): validation loss {means['loss'][0]:.4f} ± {means['loss'][1]:.4f}, {shares}."
        f"{told}\n"
    )


def speed_table(runs: Runs, levels: Sequence[Level], ratios: Mapping[str, float]) -> list[str]:
    """How many times as fast each level gets to where the reference is after its first epoch."""
    found = speeds(runs, levels, ratios)
    lines = [
        "**How many times as fast** to the training loss that the reference has after two epochs. Above 1 is faster.",
        "",
        f"| factor | level | counted in {' | in '.join(BUDGETS)} | time a step |",
        f"|---|---|{'---|' * len(BUDGETS)}---|",
    ]
    for level in levels:
        if level.name != REFERENCE.name and level.factor != OWN_LOSS:
            effects = [found[budget].get(level.name) for budget in BUDGETS]
            lines.append(_row(level, [*map(_times, effects), f"{ratios[level.name]:.2f}"]))
    return [*lines, ""]


def loss_table(runs: Runs, levels: Sequence[Level], ratios: Mapping[str, float]) -> list[str]:
    """The validation loss against the reference's at three kinds of equal cost."""
    found = loss_effects(runs, levels, ratios)
    lines = [
        "**Validation loss against the reference's**, in percent. Below 0 is better.",
        "",
        f"| factor | level | at equal {' | at equal '.join(BUDGETS)} |",
        f"|---|---|{'---|' * len(BUDGETS)}",
    ]
    for level in levels:
        if level.name in found["epochs"]:
            lines.append(_row(level, [_percent(found[budget].get(level.name)) for budget in BUDGETS]))
    return [*lines, ""]


def share_table(runs: Runs, levels: Sequence[Level], ratios: Mapping[str, float]) -> list[str]:
    """Held-out atoms, pairs and whole molecules at equal epochs; whole molecules at equal steps and seconds, too."""
    found = {metric: share_effects(runs, levels, ratios, metric) for metric in SHARES}
    columns = [(metric, "epochs") for metric in SHARES] + [("exact", "steps"), ("exact", "seconds")]
    heads = [f"{SHARES[metric]}, equal {budget}" for metric, budget in columns]
    lines = [
        "**Held-out molecules decoded right, against the reference**, in percentage points. Above 0 is better.",
        "",
        f"| factor | level | {' | '.join(heads)} |",
        f"|---|---|{'---|' * len(heads)}",
    ]
    for level in levels:
        if level.name != REFERENCE.name:
            lines.append(_row(level, [_points(found[metric][budget].get(level.name)) for metric, budget in columns]))
    return [*lines, ""]


def ranking_table(runs: Runs, levels: Sequence[Level], ratios: Mapping[str, float]) -> list[str]:
    """Factors by how far their largest level moves the validation loss."""
    found = loss_effects(runs, levels, ratios)
    names = {level.name: level.label for level in levels}
    ranked = {budget: ranking(found[budget], levels) for budget in BUDGETS}
    lines = [
        "**Importance**: factors by how far their strongest level moves the validation loss.",
        "",
        f"| rank | at equal {' | at equal '.join(BUDGETS)} |",
        f"|---|{'---|' * len(BUDGETS)}",
    ]
    for place in range(len(ranked["epochs"])):
        rows = [ranked[budget][place] for budget in BUDGETS]
        cells = " | ".join(f"{factor} ({names[level]}): {_change(by)}" for factor, level, by in rows)
        lines.append(f"| {place + 1} | {cells} |")
    return [*lines, ""]


def combined_table(runs: Runs, levels: Sequence[Level]) -> list[str]:
    """Changes made together against the sum of the same changes made alone."""
    found = combined(runs, levels, lambda curve, epoch: math.log(curve.at("loss", epoch)))
    lines = [
        "**Together**: the validation loss at equal epochs, as the changes alone let expect it (their product), as it "
        "is, and the one over the other: what the changes do to each other.",
        "",
        "| level | expected | found | found over expected |",
        "|---|---|---|---|",
    ]
    for level in levels:
        if level.name in found:
            expected, together, beyond = found[level.name]
            lines.append(f"| {level.label} | {_change(expected)} | {_change(together)} | {_percent(beyond)} |")
    return [*lines, ""]


def loop_times(file: Path) -> dict[tuple[str, int], float]:
    """(Loop, batch) -> ms a step, medians of rounds in which all loops took turns: the experiment on throughput."""
    with file.open(encoding="utf-8", newline="") as opened:
        rows = [row for row in csv.DictReader(opened) if row["question"] == "steps" and row["median"]]
    return {(row["name"], int(row["batch"])): float(row["median"]) for row in rows}


def own_loops(runs: Runs, times: Mapping[tuple[str, int], float]) -> list[str]:
    """Seconds that each program needs to the loss of `speeds` in the loop that it was written for."""
    programs = [
        ("the Keras program", REFERENCE.name, "keras", 50, "Keras's fit"),
        ("the TensorFlow program", "as_tf1", "tf1", 300, "a Session"),
        ("the TensorFlow program at batch 50", "as_tf1_batch_50", "tf1", 50, "a Session"),
    ]
    wanted = goal(runs[REFERENCE.name])
    lines = [
        "**In the loops that they were written for**, with the times a step that the "
        "[throughput experiment](../throughput/README.md) measured: what it takes to the loss of the first table.",
        "",
        "| program | loop | ms a step | epochs | steps | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name, level, loop, batch, words in programs:
        if level not in runs:
            continue
        epochs = [curve.epochs_to(wanted) for curve in runs[level]]
        steps = np.array(epochs) * runs[level][0].steps_per_epoch
        ms = times[loop, batch]
        cells = [_spread(epochs, "{:.2f}"), _spread(steps, "{:,.0f}"), _spread(steps * ms / 1000, "{:.1f}")]
        lines.append(f"| {name} | {words} | {ms:.2f} | {' | '.join(cells)} |")
    return [*lines, ""]


def _spread(values: Sequence[float], form: str) -> str:
    return f"{form.format(np.mean(values))} ({form.format(min(values))} to {form.format(max(values))})"


def label_line(labels: Sequence[Mapping[str, str]]) -> str:
    """What the gradient into the labels does."""
    worst = max(max(float(row["curves"]), float(row["weights"])) for row in labels)
    what = "no bit of curves or weights differs" if worst == 0 else f"the largest difference is {worst:.2g}"
    return (
        f"**Gradient into the labels or not**: {len(labels)} seeds, {int(labels[0]['steps']):,} steps with either "
        f"operation: {what}."
    )


def _row(level: Level, cells: Sequence[str]) -> str:
    return f"| {level.factor} | {level.label} | {' | '.join(cells)} |"


def _times(effect: Effect | None) -> str:
    return _cell(effect, lambda log: f"{math.exp(log):.2f}", "not with every seed")


def _percent(effect: Effect | None) -> str:
    return _cell(effect, _change, NOT_TRAINED)


def _points(effect: Effect | None) -> str:
    if effect is None or effect.difference.same:
        return _cell(effect, str, NOT_TRAINED)
    return _marked(f"{effect.difference.mean:+.2f} ± {effect.high - effect.difference.mean:.2f}", effect)


def _cell(effect: Effect | None, spell: Callable[[float], str], absent: str) -> str:
    """Mean and interval, each spelled; bold where the difference holds."""
    if effect is None:
        return absent
    if effect.difference.same:
        return "the same"
    return _marked(f"{spell(effect.difference.mean)} ({spell(effect.low)} to {spell(effect.high)})", effect)


def _change(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):+.1f} %"


def _marked(words: str, effect: Effect) -> str:
    """Bold where the difference holds."""
    return f"**{words}**" if effect.holds else words
