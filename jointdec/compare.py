"""``python -m jointdec.compare by=loss``: many runs, one honest picture.

Takes runs from MLflow, groups them by configuration keys over their seeds, and says what differs:

  python -m jointdec.run -m loss=joint,split,tf_native seed=0,1,2,3,4
  python -m jointdec.compare multirun=last                          those runs, by loss
  python -m jointdec.compare "by=[model,loss]" baseline="two_tower, joint"
  python -m jointdec.compare by=model.alpha 'filter=params.`loss.name` = "split"'
  python -m jointdec.compare "runs=[RUN_ID,RUN_ID]" target=val/exact:0.2

Leaves comparisons/DATE_TIME with report.html, table.csv, figures (PNG and SVG) and sources.csv, and all of it in MLflow
as a run that links to its sources. The keys:

KEYS
Exit codes: 0 done, 1 an error of jointdec's, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import csv
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jointdec.command import BAD_INPUT, EXIT_CODES, interrupt
from jointdec.config import conf_folder
from jointdec.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from jointdec.comparing.comparison import Comparison
    from jointdec.comparing.figures import Decoded
    from jointdec.comparing.groups import Group


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    keys = (conf_folder() / "compare/default.yaml").read_text().partition("\n")[2]
    parser = argparse.ArgumentParser(
        prog="python -m jointdec.compare",
        description=(__doc__ or "").replace("KEYS", keys + "tracking.uri, tracking.experiment: as for jointdec.run\n"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="in Hydra's syntax")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        run(given.overrides)
    except UserError as error:
        print(f"jointdec: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return EXIT_CODES["interrupted"]
    return 0


def run(overrides: Sequence[str]) -> Path:
    """Compare, write and record.

    Returns:
        The folder with everything.

    Raises:
        UserError: something cannot be used as asked for; nothing was written then.
    """
    from jointdec.comparing.settings import parse_request

    request = parse_request(overrides)
    settings = request.settings
    folder = Path(settings.output or f"comparisons/{datetime.now():%Y-%m-%d_%H-%M-%S}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"output is {str(folder)!r}, which is not an empty folder: name a new one.")
    from jointdec.comparing.comparison import compare
    from jointdec.comparing.curves import gather
    from jointdec.comparing.groups import make_groups
    from jointdec.comparing.record import record
    from jointdec.comparing.select import select_runs
    from jointdec.comparing.terminal import CompareTerminal
    from jointdec.tracking.mlflow_tracker import quieten

    quieten()
    terminal = CompareTerminal()
    with terminal.waiting("asking the tracking store"):
        runs = select_runs(request)
        groups = make_groups(runs, settings.by, settings.allow)
    with terminal.waiting("reading curves"):
        curves = {group.name: gather(group, request.uri) for group in groups}
    comparison = compare(groups, curves, settings)
    decoded = decodings(comparison, runs, settings.molecules, request.uri)
    title = f"{' and '.join(settings.by)}: {_short([group.name for group in comparison.groups])}"
    with terminal.waiting("drawing, recording"):
        write(comparison, decoded, title, request.uri, folder)
        where = record(comparison, f"compare {title}", folder, request.uri)
    terminal.show(comparison)
    terminal.farewell("finished", folder.absolute() / "report.html", where)
    return folder


def decodings(comparison: Comparison, runs: pd.DataFrame, asked: Sequence[str], uri: str | None) -> Decoded | None:
    """What the chosen runs made of the same test molecules; None if none kept that.

    Raises:
        UserError: a run that was asked for is not among those compared, or did not keep it.
    """
    from jointdec.comparing.figures import MOST_DECODED
    from jointdec.problems.molecules.decoded_runs import read_decoded

    compared = {run_id: group for group in comparison.groups for run_id in group.runs["run_id"]}
    for run_id in asked:
        if run_id not in compared:
            raise UserError(f"molecules has {run_id!r}, which is not among the runs compared: give ids of those.")
    chosen = list(asked) or [_median_run(group) for group in comparison.groups if len(group.runs)][:MOST_DECODED]
    rows = runs.set_index("run_id").loc[chosen]
    names = {run_id: f"{compared[run_id].name}, seed {seed}" for run_id, seed in zip(chosen, rows["seed"], strict=True)}
    return read_decoded(rows, names, uri, required=bool(asked))


def write(comparison: Comparison, decoded: Decoded | None, title: str, uri: str | None, folder: Path) -> None:
    """Write the page, the table, the figures and the list of runs."""
    from jointdec.comparing.figures import plots, save
    from jointdec.comparing.page import write_page
    from jointdec.comparing.tables import write_csv
    from jointdec.tracking.uri import SERVERS, hide_credentials, resolve_uri, scheme_of

    drawn = plots(comparison, decoded)
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output is {str(folder)!r}, which cannot be written ({error.strerror}).") from error
    for plot in drawn:
        save(plot, folder / "figures")
    write_csv(comparison, folder / "table.csv")
    _write_sources(comparison, folder / "sources.csv")
    store = resolve_uri(uri)
    server = f"{hide_credentials(store).rstrip('/')}/" if scheme_of(store) in SERVERS else None
    write_page(comparison, drawn, title, server, folder / "report.html")


def _write_sources(comparison: Comparison, file: Path) -> None:
    """Every run that was looked at: its group and what became of it."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened, lineterminator="\n")
        rows.writerow(["run_id", "group", "seed", "outcome"])
        for group in comparison.groups:
            for run_id, seed, outcome in zip(*(group.all[key] for key in ("run_id", "seed", "outcome")), strict=True):
                rows.writerow([run_id, group.name, seed, outcome])
            rows.writerows([run_id, group.name, "", why] for why, ids in group.left_out.items() for run_id in ids)


def _median_run(group: Group) -> str:
    """The run with the median share of exact molecules, the lower one of two."""
    column = next((name for name in ("test/exact", "val/exact") if name in group.runs), "seed")
    ranked = group.runs.sort_values(column, kind="stable")["run_id"]
    return str(ranked.iloc[(len(ranked) - 1) // 2])


def _short(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


if __name__ == "__main__":
    sys.exit(main())
