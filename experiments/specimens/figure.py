"""The attempts' learning curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

STYLES = {  # Okabe & Ito's colours; line styles and markers tell the curves apart in black and white
    "joint": ("#000000", "-", "o"),
    "split": ("#0072B2", "--", "s"),
    "zero_plus_total": ("#56B4E9", ":", "D"),
    "tf1_graph": ("#009E73", (0, (1, 3)), "x"),
    "mse": ("#E69F00", "--", "v"),
    "split_indexed": ("#D55E00", "-.", "P"),
    "answer": ("#CC79A7", (0, (8, 2)), "*"),
}
LABELS = {"node_accuracy": "atoms right", "edge_accuracy": "pairs right"}


def draw(curves: Mapping[str, Mapping[str, list[float]]], file: Path) -> None:
    """Validation shares against the epoch, one panel a metric; attempts that never trained are absent."""
    figure = Figure(figsize=(10, 4.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(1, 2)
    for axes, (metric, label) in zip(panels, LABELS.items(), strict=True):
        for name, (color, line, marker) in STYLES.items():
            values = curves[name][metric]
            style = {"color": color, "linestyle": line, "marker": marker, "markerfacecolor": "none"}
            axes.plot(range(1, len(values) + 1), values, label=name, **style)
        axes.set(xlabel="epoch", title=f"validation: {label}")
        axes.grid(color="0.92")
    panels[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.savefig(file)
