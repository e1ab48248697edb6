"""``python -m jointdec.compare by=loss``: many runs, one honest picture.

Takes runs from MLflow, groups them by configuration keys over their seeds, and says what differs:

  python -m jointdec.run -m loss=joint,split,tf_native seed=0,1,2,3,4
  python -m jointdec.compare multirun=last                          those runs, by loss
  python -m jointdec.compare "by=[model,loss]" baseline="two_tower, joint"
  python -m jointdec.compare by=model.alpha 'filter=params.`loss.name` = "split"'
  python -m jointdec.compare "runs=[RUN_ID,RUN_ID]" target=val/loss:0.2

Leaves comparisons/DATE_TIME with report.html, table.csv, figures (PNG and SVG) and sources.csv, and all of it in MLflow
as a run that links to its sources. The keys:

KEYS
Exit codes: 0 done, 1 an error of jointdec's, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jointdec.command import argument_parser, exit_code, interrupt
from jointdec.config import conf_folder
from jointdec.errors import UserError

if TYPE_CHECKING:
    from jointdec.comparing.settings import Request


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    keys = (conf_folder() / "compare/default.yaml").read_text().partition("\n")[2]
    help_ = (__doc__ or "").replace("KEYS", keys + "tracking.uri, tracking.experiment: as for jointdec.run\n")
    parser = argument_parser("compare", help_)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="in Hydra's syntax")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, interrupt)

    def work() -> int:
        run(given.overrides)
        return 0

    return exit_code(work)


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
    from jointdec.comparing.figures import pictures, plots
    from jointdec.comparing.groups import make_groups
    from jointdec.comparing.measured import gather
    from jointdec.comparing.report import CompareTerminal, record, write
    from jointdec.reporting.runs import load_runs
    from jointdec.tracking.mlflow_run import quieten

    quieten()
    terminal = CompareTerminal()
    with terminal.waiting("asking the tracking store"):
        runs = load_runs(request.uri, request.experiment, settings.filter, settings.runs or None)
        if not len(runs):
            raise UserError(_nothing(request))
        groups = make_groups(runs, settings.by, settings.allow)
    with terminal.waiting("reading curves"):
        curves = {group.name: gather(group, request.uri) for group in groups}
    comparison = compare(groups, curves, settings)
    drawn = [*plots(comparison), *pictures(comparison, settings.pictures, request.uri)]
    title = f"{' and '.join(settings.by)}: {_short([group.name for group in comparison.groups])}"
    with terminal.waiting("drawing, recording"):
        write(comparison, drawn, title, request.uri, folder)
        where = record(comparison, f"compare {title}", folder, request.uri)
    terminal.show(comparison)
    terminal.farewell("finished", folder.absolute() / "report.html", where)
    return folder


def _nothing(request: Request) -> str:
    if request.settings.filter:
        return f"No trained run fits filter {request.settings.filter!r}: there is nothing to compare."
    return f"The experiment {request.experiment!r} has no trained run: there is nothing to compare."


def _short(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


if __name__ == "__main__":
    sys.exit(main())
