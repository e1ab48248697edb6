"""A study's figures, as pictures and as one interactive page: history, importances, slices, coordinates, the front."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl

mpl.use("Agg")  # Optuna draws with pyplot, which would open windows otherwise
import matplotlib.pyplot as plt
import optuna.visualization as interactive
import optuna.visualization.matplotlib as pictures
import plotly.io
from matplotlib.ticker import NullFormatter
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

PICTURE_DPI = 150


class Plot(NamedTuple):
    """One figure of a study: its file's name, its heading, and what of Optuna's draws it, with which arguments."""

    name: str
    title: str
    function: str
    arguments: dict[str, Any]


def draw(study: Study, objectives: Sequence[str], folder: Path) -> None:
    """Draw the pictures into a folder."""
    with _quiet():
        for plot in plots(study, objectives):
            axes = getattr(pictures, plot.function)(study, **plot.arguments)
            figure = (axes.flat[0] if hasattr(axes, "flat") else axes).figure
            for part in figure.axes:
                if part.get_xscale() == "log":
                    part.xaxis.set_minor_formatter(NullFormatter())  # they would lie over each other
            figure.savefig(folder / f"{plot.name}.png", dpi=PICTURE_DPI, bbox_inches="tight")
            plt.close(figure)


def page(study: Study, objectives: Sequence[str], text: str) -> str:
    """All figures on one self-contained page that asks nothing of any network.

    Args:
        study: the study.
        objectives: names of its metrics.
        text: what stands above the figures.
    """
    parts = []
    with _quiet():
        for number, plot in enumerate(plots(study, objectives)):
            figure = getattr(interactive, plot.function)(study, **plot.arguments)
            figure.update_layout(title=None, margin={"t": 24})
            body = plotly.io.to_html(figure, full_html=False, include_plotlyjs=number == 0)
            parts.append(f"<h2>{html.escape(plot.title)}</h2>\n{body}")
    name = html.escape(study.study_name)
    return PAGE.format(name=name, text=html.escape(text), figures="\n".join(parts))


def plots(study: Study, objectives: Sequence[str]) -> Iterator[Plot]:
    """The figures that this study has enough trials and dimensions for."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    keys = sorted({key for trial in ended for key in trial.params})
    if len(ended) < 2:
        return
    for number, name in enumerate(objectives):
        file = name.replace("/", "_")
        several = len(objectives) > 1
        target = {"target_name": name} | ({"target": _value(number)} if several else {})
        suffix = f"_{file}" if several else ""
        yield Plot(f"history{suffix}", f"{name}, trial after trial", "plot_optimization_history", target)
        if len({trial.values[number] for trial in ended}) > 1 and len(keys) > 1:
            yield Plot(f"importances{suffix}", f"What decides {name}", "plot_param_importances", target)
        yield Plot(f"slice{suffix}", f"{name} over each dimension", "plot_slice", target)
        if len(keys) > 1:
            yield Plot(f"parallel{suffix}", f"{name}: whole trials", "plot_parallel_coordinate", target)
            yield Plot(f"contour{suffix}", f"{name} over pairs of dimensions", "plot_contour", target)
    if len(objectives) in (2, 3):
        names = {"target_names": list(objectives)}
        yield Plot("pareto", f"The front of {' against '.join(objectives)}", "plot_pareto_front", names)


def _value(number: int) -> Callable[[FrozenTrial], float]:
    return lambda trial: float(trial.values[number])


class _quiet(warnings.catch_warnings):  # noqa: N801 (used as a function)
    """Optuna calls its pictures experimental, and matplotlib has remarks on them; neither is the user's matter."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
  pre {{ white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f4f4; padding: 1rem }}
</style>
</head>
<body>
<h1>{name}</h1>
<pre>{text}</pre>
{figures}
</body>
</html>
"""
