"""The page, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from attempts import ATTEMPTS, Attempt, Result, code_of
from hydra import compose, initialize_config_dir

from jointdec.config import SpecimenConfig, conf_folder, parse

HEAD = """# One Keras model, two outputs, one loss: what goes wrong, and what to write

A network has one input and two outputs, and ONE loss is to look at both. The public question about it
([keras-team/keras #13109](https://github.com/keras-team/keras/issues/13109), 2019) went through the attempts below.
Each is written here for Keras 3 and was run on 4,000 molecules; what it says, reaches and ignores is what came out.

| what you see | attempt |
|---|---|
"""
FOOT = """
## Side by side

Validation after {epochs} epochs on the molecules that ship, batch 50, seed 0. One seed: the order of the right ones
means nothing, the distance of the wrong ones does.

| attempt | outcome | atoms | pairs | whole molecules |
|---|---|---|---|---|
{rows}

![Validation accuracy of each attempt against the epoch](results/curves.png)

This page is written by `python experiments/specimens/specimens.py`, about five minutes on 2 cores. How closely the
right ones agree, step by step: [parity](../parity/README.md).
"""


def page(results: Mapping[str, Result], epochs: int) -> str:
    """All of it."""
    contents = "\n".join(f"| {attempt.symptom} | [{attempt.name}](#{attempt.name}) |" for attempt in ATTEMPTS)
    sections = "\n".join(_section(attempt, results[attempt.name]) for attempt in ATTEMPTS)
    rows = "\n".join(_row(name, result) for name, result in results.items())
    return f"{HEAD}{contents}\n\n{sections}{FOOT.format(epochs=epochs, rows=rows)}"


def _section(attempt: Attempt, result: Result) -> str:
    specimen = _specimen(attempt.name)
    lines = [f"## {attempt.name}", "", attempt.symptom, "", "```python", code_of(attempt), "```", ""]
    if attempt.error:
        lines += ["In 2019 it said:", "", "```", attempt.error, "```", ""]
    if specimen:
        finding = result.summary["finding"]
        lines += (
            ["Today:", "", "```", finding["evidence"], "```", ""]
            if finding["kind"] == "error"
            else [
                f"What comes of it: {finding['evidence']}",
                "",
            ]
        )
        lines += [f"**What it does.** {specimen.did}", "", f"**Why it fails.** {specimen.happens}", ""]
        lines += [f"**Write instead.** {specimen.instead}", ""]
    else:
        lines += [attempt.prose, ""]
    return "\n".join([*lines, f"    python -m jointdec.run +experiment=source/{attempt.name}", ""])


def _specimen(name: str) -> SpecimenConfig | None:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return parse(compose("config", overrides=[f"+experiment=source/{name}"])).specimen


def _row(name: str, result: Result) -> str:
    curves = result.curves.values()
    shares = " | ".join(f"{values[-1]:.1%}" if values else "never trained" for values in curves)
    return f"| {name} | {result.summary['outcome']} | {shares} |"
