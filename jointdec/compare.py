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

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jointdec.command import BAD_INPUT, EXIT_CODES, interrupt
from jointdec.config import conf_folder
from jointdec.errors import UserError

PICTURED = 4  # runs, of as many groups

if TYPE_CHECKING:
    import pandas as pd

    from jointdec.comparing.comparison import Comparison
    from jointdec.comparing.figures import Plot
    from jointdec.comparing.settings import Request


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
    from jointdec.comparing.figures import plots
    from jointdec.comparing.groups import make_groups
    from jointdec.comparing.report import record, write
    from jointdec.comparing.tables import CompareTerminal
    from jointdec.tracking.mlflow_tracker import quieten

    quieten()
    terminal = CompareTerminal()
    with terminal.waiting("asking the tracking store"):
        runs = select_runs(request)
        groups = make_groups(runs, settings.by, settings.allow)
    with terminal.waiting("reading curves"):
        curves = {group.name: gather(group, request.uri) for group in groups}
    comparison = compare(groups, curves, settings)
    pictures = problems_pictures(comparison, settings.pictures, request.uri)
    title = f"{' and '.join(settings.by)}: {_short([group.name for group in comparison.groups])}"
    with terminal.waiting("drawing, recording"):
        write(comparison, [*plots(comparison), *pictures], title, request.uri, folder)
        where = record(comparison, f"compare {title}", folder, request.uri)
    terminal.show(comparison)
    terminal.farewell("finished", folder.absolute() / "report.html", where)
    return folder


def select_runs(request: Request) -> pd.DataFrame:
    """The runs that were asked for, as `load_runs` gives them.

    Raises:
        UserError: there is none, or the store cannot be read.
    """
    from jointdec.reporting.runs import load_runs

    condition = request.settings.filter
    runs = load_runs(request.uri, request.experiment, condition, request.settings.runs or None)
    if not len(runs):
        nothing = f"The experiment {request.experiment!r} has no trained run"
        nothing = f"No trained run fits filter {condition!r}" if condition else nothing
        raise UserError(f"{nothing}: there is nothing to compare.")
    return runs


def problems_pictures(comparison: Comparison, asked: Sequence[str], uri: str | None) -> list[Plot]:
    """Of what the chosen runs kept, by default the median one of each group, if the problem has pictures of that.

    Raises:
        UserError: a run that was asked for is not among those compared, or there are no pictures of it.
    """
    import pandas as pd

    from jointdec.reporting.names import part_of

    group_of = {run_id: group.name for group in comparison.groups for run_id in group.runs["run_id"]}
    for run_id in asked:
        if run_id not in group_of:
            raise UserError(f"pictures has {run_id!r}, which is not among the runs compared: give ids of those.")
    module = part_of(comparison.measured.problem, "decoded_runs")
    if module is None and asked:
        raise UserError("pictures names runs, but there are none of this problem: leave the key out.")
    merit = comparison.measured.merit
    chosen = (
        list(asked) or [_median_run(group.runs, merit) for group in comparison.groups if len(group.runs)][:PICTURED]
    )
    if module is None or not chosen:
        return []
    runs = pd.concat([group.runs for group in comparison.groups]).set_index("run_id").loc[chosen]
    names = {run_id: f"{group_of[run_id]}, seed {seed}" for run_id, seed in runs["seed"].items()}
    drawn: Plot | None = module.picture(runs, names, uri, required=bool(asked))
    return [drawn] if drawn else []


def _median_run(runs: pd.DataFrame, merit: str | None) -> str:
    """The run with the median of the merit, see `Measured.merit`; the lower one of two."""
    column = next((name for name in (f"test/{merit}", f"val/{merit}") if name in runs), "seed")
    ranked = runs.sort_values(column, kind="stable")["run_id"]
    return str(ranked.iloc[(len(ranked) - 1) // 2])


def _short(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


if __name__ == "__main__":
    sys.exit(main())
