"""``report.html``: the whole comparison on one page that needs nothing but itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from jointdec.comparing.comparison import Comparison
from jointdec.comparing.figures import Plot
from jointdec.comparing.groups import Group
from jointdec.comparing.tables import tables
from jointdec.comparing.words import about, sentences

METHOD = (
    "Runs are compared that have the same data, budget and configuration, but for what is compared and what was "
    "allowed to differ; a pair is two runs of the same seed.",
    "A difference is called better or worse if its paired t test holds at 95 % after Holm's correction for all "
    "comparisons of this page. No difference shown is not the same as equal: the interval says how large it may be.",
    "Bootstrap intervals of a few seeds are too narrow: with 5 they cover the mean in about 84 cases of 100, with 10 "
    "in 90, instead of 95. Student's intervals of the differences suppose that differences are normally distributed.",
    "Interquartile mean: of what is left after a quarter of the runs, rounded down, is cut at each end.",
    "Diverged runs have no final metrics: means are of those that did not, and look better than the group is.",
)


class _Figure(NamedTuple):
    title: str
    caption: str
    alt: str
    source: str


class _Link(NamedTuple):
    text: str
    address: str | None


def write_page(comparison: Comparison, plots: Sequence[Plot], title: str, server: str | None, file: Path) -> None:
    """Write the page.

    Args:
        comparison: what it is of.
        plots: its figures, which were saved into figures/ beside the page.
        title: what stands above.
        server: address of MLflow's page, that runs are linked to; None if no server is known.
        file: where to write.
    """
    figures = [_Figure(plot.title, plot.caption, plot.alt, _embedded(file.parent / "figures", plot)) for plot in plots]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
    )
    text = environment.get_template("report.html").render(
        title=title,
        about=about(comparison),
        sentences=sentences(comparison),
        tables=tables(comparison),
        plots=figures,
        method=METHOD,
        runs=[(group.name, _links(group, server)) for group in comparison.groups],
    )
    file.write_text(text, encoding="utf-8")


def run_address(server: str, experiment: str, run_id: str) -> str:
    """Where MLflow shows a run; with an empty server relative to MLflow's own page."""
    return f"{server}#/experiments/{experiment}/runs/{run_id}"


def _embedded(folder: Path, plot: Plot) -> str:
    for suffix, kind in ((".svg", "svg+xml"), (".png", "png")):
        file = folder / f"{plot.name}{suffix}"
        if file.is_file():
            return f"data:image/{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
    raise FileNotFoundError(f"{plot.name} was not saved in {folder}")


def _links(group: Group, server: str | None) -> list[_Link]:
    rows = zip(group.all["seed"], group.all["run_id"], group.all["experiment_id"], strict=True)
    return [
        _Link(
            f"seed {seed}" if server else f"seed {seed}: {run_id}",
            run_address(server, experiment, run_id) if server else None,
        )
        for seed, run_id, experiment in rows
    ]
