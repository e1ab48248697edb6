"""Reconstruction and generation as tables, beside what papers say of other models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jointdec.problems.molecules.generation import SHARES
from jointdec.reporting.experiment import write_section
from jointdec.reporting.statistics import corrected, difference

BEGIN, END = "<!-- results: written by generation.py -->", "<!-- end of results -->"
BASELINE = "two_tower"
RECONSTRUCTION = {"atoms": "val/node_accuracy", "pairs": "val/edge_accuracy", "whole molecules exact": "val/exact"}
GENERATION = ["V", "V x U", "V x U x N", "uniqueness", "novelty", "connected", "SCAT's V", "SCAT's novelty"]
Trial = Mapping[str, float]
Trials = Mapping[str, Sequence[Trial]]  # network -> its trials


def write(rows: Sequence[Mapping[str, str]], folder: Path) -> None:
    """The results' tables and the README's part.

    Raises:
        SystemExit: a trial diverged, so that the networks cannot be held against each other.
    """
    if failed := [f"{row['model']}, seed {row['seed']}: {row['cause']}" for row in rows if row["state"] != "complete"]:
        raise SystemExit(f"Not all trials ended well: {'; '.join(failed)}.")
    trials: dict[str, list[Trial]] = {}
    for row in rows:
        trials.setdefault(row["model"], []).append(measures(row))
    text = "\n".join([*table(trials, list(RECONSTRUCTION)), "", *table(trials, GENERATION), "", *differences(trials)])
    (folder / "results/tables.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    write_section(text, folder / "README.md", BEGIN, END)


def measures(row: Mapping[str, str]) -> Trial:
    """What a trial comes to under each definition, in percent.

    V, U and N are validity, uniqueness and novelty as jointdec's generation.py has them, MolGAN's. SCAT
    looks at connected graphs alone, and counts a duplicate as novel: its novelty is 1 minus the share of the valid ones
    that are the first of their kind and known, here of all valid ones instead of all connected ones.
    """
    shares = {name: float(row[f"generate/{name}"]) for name in SHARES}
    v, u, n = (shares[name] for name in ("validity", "uniqueness", "novelty"))
    found = {name: float(row[key]) for name, key in RECONSTRUCTION.items()}
    found |= {"V": v, "V x U": v * u, "V x U x N": v * u * n, "uniqueness": u, "novelty": n}
    found |= {
        "connected": shares["connected"],
        "SCAT's V": shares["connected_validity"],
        "SCAT's novelty": 1 - u * (1 - n),
    }
    return {name: 100 * value for name, value in found.items()} | {"seed": float(row["seed"])}


def table(trials: Trials, names: Sequence[str]) -> list[str]:
    """A line a network: means over the seeds with Student's intervals."""
    lines = [f"| %, mean (95 % interval) | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for model, of_model in trials.items():
        cells = []
        for name in names:
            mean = difference({trial["seed"]: trial[name] for trial in of_model}, {t["seed"]: 0.0 for t in of_model})
            assert mean is not None
            cells.append(f"{mean.mean:.1f} ({mean.low:.1f} to {mean.high:.1f})")
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return lines


def differences(trials: Trials) -> list[str]:
    """The other networks against the first, seed by seed, corrected for all that stands in the table."""
    names = [*RECONSTRUCTION, *GENERATION]
    others = [model for model in trials if model != BASELINE]
    found = {}
    for name in names:
        there = {trial["seed"]: trial[name] for trial in trials[BASELINE]}
        for model in others:
            one = difference({trial["seed"]: trial[name] for trial in trials[model]}, there)
            assert one is not None
            found[name, model] = one
    after = dict(zip(found, corrected(list(found.values())), strict=True))
    lines = [f"| points more than {BASELINE} | {' | '.join(others)} |", f"|---|{'---|' * len(others)}"]
    for name in names:
        cells = []
        for model in others:
            one = after[name, model]
            words = f"{one.mean:+.2f}" + ("" if np.isnan(one.low) else f" ({one.low:+.2f} to {one.high:+.2f})")
            cells.append(f"**{words}**" if one.holds else words)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        f"Paired over the seeds; bold: holds at 95 % after Holm's correction for all {len(found)} differences here.",
    ]
