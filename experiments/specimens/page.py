"""The page, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from attempts import ATTEMPTS, Attempt, Result, code_of
from hydra import compose, initialize_config_dir

from jointdec.config import SpecimenConfig, conf_folder, parse

HEAD = """# One Keras model, two outputs, one loss: what goes wrong, and what to write

A network has one input and two outputs, and ONE loss is to look at both. The public question about it
([keras-team/keras #13109](https://github.com/keras-team/keras/issues/13109), 2019) went through the attempts below.
Each is written here for Keras 3 and was run on 4,000 molecules; errors and numbers below are what came out. The heads
are `nodes` (B, 9, 5), the atoms, and `edges` (B, 9, 9, 4), the bonds; `node_cross_entropy` and `edge_cross_entropy` are
jointdec's, see [cross_entropies.py](../../jointdec/problems/molecules/cross_entropies.py); its adjustable weights are
written as plain numbers.

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

![Validation accuracy of the attempts that train, against the epoch](results/curves.png)

The curves of `joint`, `split` and `zero_plus_total` lie on one another, and `answer` shares their curve for pairs.

This page is written by `python experiments/specimens/specimens.py`. How closely the
right ones agree, step by step: [parity](../parity/README.md).
"""


def page(results: Mapping[str, Result], epochs: int) -> str:
    """All of it."""
    links = [(symptom, attempt.name) for attempt in ATTEMPTS for symptom in attempt.symptoms]
    contents = "\n".join(f"| {symptom} | [{name}](#{name}) |" for symptom, name in links)
    sections = "\n".join(_section(attempt, results[attempt.name]) for attempt in ATTEMPTS)
    rows = "\n".join(_row(name, result) for name, result in results.items())
    return f"{HEAD}{contents}\n\n{sections}{FOOT.format(epochs=epochs, rows=rows)}"


def _section(attempt: Attempt, result: Result) -> str:
    specimen = _specimen(attempt.name)
    lines = [f"## {attempt.name}", "", "; ".join(attempt.symptoms), "", "```python", code_of(attempt), "```", ""]
    if attempt.error:
        lines += ["In 2019 it said:", "", "```", attempt.error, "```", ""]
    if specimen:
        finding = result.summary["finding"]
        lines += (
            ["Today:", "", "```", finding["evidence"], "```", ""]
            if finding["kind"] == "error"
            else [f"What comes of it: {finding['evidence']}", ""]
        )
        lines += [f"**What it does.** {specimen.did}", "", f"**What happens.** {specimen.happens}", ""]
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
