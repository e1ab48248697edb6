"""Where a comparison goes: the terminal, a folder with ``report.html`` and ``table.csv``, and a run in MLflow.

The page needs nothing but itself. Its tables are text, for people; those in ``table.csv`` are numbers, for programs.
"""

from __future__ import annotations

import base64
import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import rich.table
from mlflow.entities import RunTag
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from rich.box import SIMPLE
from rich.markup import escape

from jointdec.comparing.comparison import Comparison
from jointdec.comparing.figures import Plot, save
from jointdec.comparing.groups import Group
from jointdec.comparing.words import about, change, estimate, sentences, split_of, value, verdict
from jointdec.errors import UserError
from jointdec.reporting.statistics import Estimate
from jointdec.reporting.terminal import Terminal
from jointdec.tracking.environment import process_tags
from jointdec.tracking.mlflow_run import DESCRIPTION_LIMIT, STATUS, where_is
from jointdec.tracking.store import connect
from jointdec.tracking.uri import SERVERS, hide_credentials, resolve_uri, scheme_of

STATISTICS = {"mean": "Mean", "median": "Median", "iqm": "Interquartile mean"}
MORE = "\n\nAll runs: the artifact sources.csv."

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


class _Link(NamedTuple):
    text: str
    address: str | None


def write(comparison: Comparison, drawn: Sequence[Plot], title: str, tracking_uri: str | None, folder: Path) -> None:
    """Write the page, the table, the figures and the list of runs.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output is {str(folder)!r}, which cannot be written ({error.strerror}).") from error
    for plot in drawn:
        save(plot, folder / "figures")
    write_csv(comparison, folder / "table.csv")
    _write_sources(comparison, folder / "sources.csv")
    store = resolve_uri(tracking_uri)
    server = f"{hide_credentials(store).rstrip('/')}/" if scheme_of(store) in SERVERS else None
    _write_page(comparison, drawn, title, server, folder / "report.html")


def record(comparison: Comparison, title: str, folder: Path, tracking_uri: str | None) -> str:
    """Log the folder as a run in the experiment of the first run compared.

    Returns:
        Where it is, for people.
    """
    uri = resolve_uri(tracking_uri)
    client = connect(uri)
    experiment = str(comparison.baseline.all["experiment_id"].iloc[0])
    tags = process_tags() | resolve_tags() | {"jointdec.comparison": ",".join(comparison.by)}
    run = client.create_run(experiment, run_name=title, tags=tags)
    run_id = run.info.run_id
    outcome = "failed"
    try:
        client.log_artifacts(run_id, str(folder))
        note = _note(comparison)
        client.log_batch(run_id, tags=[RunTag(MLFLOW_RUN_NOTE, note), RunTag("jointdec.outcome", "finished")])
        outcome = "finished"
    finally:
        client.set_terminated(run_id, STATUS[outcome])
    return where_is(uri, experiment, run_id)


def _write_page(comparison: Comparison, plots: Sequence[Plot], title: str, server: str | None, file: Path) -> None:
    """Write the page.

    Args:
        comparison: what it is of.
        plots: its figures, which were saved into figures/ beside the page.
        title: what stands above.
        server: address of MLflow's page, that runs are linked to; None if no server is known.
        file: where to write.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
    )
    text = environment.get_template("report.html").render(
        title=title,
        about=about(comparison),
        sentences=sentences(comparison),
        tables=tables(comparison),
        plots=[{**plot._asdict(), "source": _embedded(file.parent / "figures", plot)} for plot in plots],
        method=METHOD,
        runs=[(group.name, _links(group, server)) for group in comparison.groups],
    )
    file.write_text(text, encoding="utf-8")


def _write_sources(comparison: Comparison, file: Path) -> None:
    """Every run that was looked at: its group and what became of it."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened, lineterminator="\n")
        rows.writerow(["run_id", "group", "seed", "outcome"])
        for group in comparison.groups:
            for run_id, seed, outcome in zip(*(group.all[key] for key in ("run_id", "seed", "outcome")), strict=True):
                rows.writerow([run_id, group.name, seed, outcome])
            rows.writerows([run_id, group.name, "", why] for why, ids in group.left_out.items() for run_id in ids)


def _run_address(server: str, experiment: str, run_id: str) -> str:
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
            _run_address(server, experiment, run_id) if server else None,
        )
        for seed, run_id, experiment in rows
    ]


def _note(comparison: Comparison) -> str:
    """Markdown: what was found, and a link to every run, as many as MLflow holds characters."""
    lines = ["\n".join(f"- {sentence}" for sentence in sentences(comparison))]
    room = DESCRIPTION_LIMIT - len(MORE) - len(lines[0])
    for group in comparison.groups:
        links = ", ".join(_markdown(group.all[["seed", "experiment_id", "run_id"]].itertuples(index=False, name=None)))
        line = f"**{group.name}**: {links}"
        room -= len(line) + 2
        if room < 0:
            break
        lines.append(line)
    return ("\n\n".join(lines) + MORE)[:DESCRIPTION_LIMIT]


def _markdown(rows: Iterable[Sequence[str]]) -> Sequence[str]:
    return [f"[seed {seed}]({_run_address('', experiment, run_id)})" for seed, experiment, run_id in rows]


class Table(NamedTuple):
    """Text, row by row."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(comparison: Comparison) -> list[Table]:
    """Statistics of each group, differences from the baseline, times to the target."""
    drawn = [means_table(comparison, statistic) for statistic in STATISTICS]
    return [drawn[0], *([differences_table(comparison)] if comparison.differences else []), *drawn[1:]] + (
        [target_table(comparison)] if comparison.reached else []
    )


def means_table(comparison: Comparison, statistic: str) -> Table:
    """A statistic of each metric, with its bootstrap interval."""
    head = ["group", "runs", "diverged", *(comparison.name_of(metric) for metric in comparison.metrics)]
    rows = []
    for group in comparison.groups:
        found = (comparison.summaries.get((group.name, metric)) for metric in comparison.metrics)
        cells = [
            estimate(metric, getattr(summary, statistic)) + (f", n {summary.n}" if summary.n < len(group.runs) else "")
            if summary
            else "-"
            for metric, summary in zip(comparison.metrics, found, strict=True)
        ]
        rows.append([group.name, str(len(group.runs)), str(len(group.diverged)), *cells])
    where = split_of(comparison.metrics)
    return Table(f"{STATISTICS[statistic]} and 95 % bootstrap interval" + (f", {where}" if where else ""), head, rows)


def differences_table(comparison: Comparison) -> Table:
    """Every difference from the baseline."""
    rows = []
    for (group, metric), found in comparison.differences.items():
        p = ["-", "-"] if math.isnan(found.p) else [f"{found.p:.2g}", f"{found.corrected:.2g}"]
        rows.append(
            [group, comparison.name_of(metric), str(found.n), change(metric, found), *p, verdict(metric, found)]
        )
    caption = (
        f"Differences from {comparison.baseline.name}, seed by seed, with Student's 95 % interval; p of the paired t "
        f"test, and after Holm's correction for {len(rows)} comparisons"
    )
    return Table(caption, ["group", "metric", "seeds", "difference", "p", "corrected", "verdict"], rows)


def target_table(comparison: Comparison) -> Table:
    """How fast each group reaches the target."""
    assert comparison.target
    metric, level = comparison.target
    rows = [
        [
            name,
            f"{found.reaching} of {found.total}",
            f"{found.epochs:g}" if math.isfinite(found.epochs) else "not reached",
            f"{found.seconds:.3g}" if math.isfinite(found.seconds) else "-",
        ]
        for name, found in comparison.reached.items()
    ]
    caption = f"Until {metric} is {value(metric, level)}: medians over all runs, training time alone"
    return Table(caption, ["group", "runs that reach it", "epochs", "seconds"], rows)


def write_csv(comparison: Comparison, file: Path) -> None:
    """A row a group and metric; shares as fractions, what is not known empty."""
    columns = [
        *("group", "metric", "n", "diverged", "left_out"),
        *(f"{statistic}{part}" for statistic in STATISTICS for part in ("", "_low", "_high")),
        *("pairs", "difference", "difference_low", "difference_high", "p", "p_corrected", "verdict"),
        *("epochs_to_target", "seconds_to_target", "runs_reaching_target"),
    ]
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened, lineterminator="\n")
        rows.writerow(columns)
        for group in comparison.groups:
            for metric in comparison.metrics:
                rows.writerow([_plain(cell) for cell in _cells(comparison, group, metric)])


def _cells(comparison: Comparison, group: Group, metric: str) -> list[object]:
    key = (group.name, metric)
    summary, found = comparison.summaries.get(key), comparison.differences.get(key)
    reached = comparison.reached.get(group.name)
    unknown = Estimate(math.nan, math.nan, math.nan)
    left_out = sum(len(ids) for ids in group.left_out.values())
    cells: list[object] = [group.name, metric, summary.n if summary else 0, len(group.diverged), left_out]
    for statistic in STATISTICS:
        cells += getattr(summary, statistic) if summary else unknown
    cells += (
        [found.n, found.mean, found.low, found.high, found.p, found.corrected, verdict(metric, found)]
        if found
        else [0, *[""] * 6]
    )
    return [*cells, *([reached.epochs, reached.seconds, reached.reaching] if reached else [""] * 3)]


def _plain(cell: object) -> object:
    return "" if isinstance(cell, float) and not math.isfinite(cell) else cell


class CompareTerminal(Terminal):
    """See `Terminal`."""

    def show(self, comparison: Comparison) -> None:
        """What each group comes to, metric by metric, and what was found."""
        self.note(about(comparison))
        where = split_of(comparison.metrics)
        group_name = rich.table.Column("group", overflow="fold")  # names that are cut off may look alike
        minus = f"minus {escape(comparison.baseline.name)} [95 %]"
        table = rich.table.Table(group_name, "n", "mean [95 %]", minus, "", box=SIMPLE)
        for metric in comparison.metrics:
            table.add_row(f"[bold]{escape(comparison.name_of(metric))}[/]")
            for group in comparison.groups:
                table.add_row(*map(escape, _row(comparison, group, metric)))
        table.caption = f"Means{f', {where}' if where else ''}; bootstrap intervals, of differences Student's."
        self._console.print(table)
        for sentence in sentences(comparison):
            self.note(f"- {sentence}")


def _row(comparison: Comparison, group: Group, metric: str) -> list[str]:
    summary = comparison.summaries.get((group.name, metric))
    found = comparison.differences.get((group.name, metric))
    return [
        group.name,
        str(summary.n if summary else 0) + (f" ({len(group.diverged)} diverged)" if len(group.diverged) else ""),
        estimate(metric, summary.mean) if summary else "-",
        change(metric, found) if found else "",
        verdict(metric, found) if found else "",
    ]
