"""What `jointdec.fit` returns."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import keras
import pandas as pd

from jointdec.divergence.own_model import StepDivergence
from jointdec.training.step import numbers

SHOWN = 10  # epochs in a notebook's table


@dataclass(frozen=True, eq=False)
class Run:
    """A training that is over.

    Attributes:
        model: the trained model; after a divergence with the weights that the bad step started from.
        history: what Keras's ``History.history`` would hold: name -> a value an epoch, of a metric that gives one a
            class an array.
        steps: a row a step, indexed by its global number: ``loss`` and each output's; empty where Keras's own loop
            trained.
        norms: a row a step whose gradient was measured: ``grad_norm``, and each layer's by path.
        epochs: a row an epoch: ``train/…``, ``val/…``, ``seconds``, ``ms_per_step``.
        outcome: ``finished``, ``diverged`` or ``interrupted``.
        divergence: the first step that was not finite and what is known of it; None if there was none.
        jit: whether XLA compiled the steps.
        run_id: MLflow's id; None with ``tracking="none"``.
        where: where the record is, for people.
    """

    model: keras.Model
    history: dict[str, list[Any]]
    steps: pd.DataFrame
    norms: pd.DataFrame
    epochs: pd.DataFrame
    outcome: str
    divergence: StepDivergence | None
    jit: bool
    run_id: str | None
    where: str

    @property
    def epoch(self) -> list[int]:
        """The epochs' numbers, as Keras's History has them."""
        return [int(number) for number in self.epochs.index]

    def __repr__(self) -> str:
        logs = numbers({name: values[-1] for name, values in self.history.items() if values})
        last = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
        return f"Run({self.outcome}, {len(self.epochs)} epochs: {last}; {self.where})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        table: str = self.epochs.tail(SHOWN).to_html(float_format="{:.4g}".format)
        lines = [f"<b>{escape(self.outcome)}</b>, {len(self.epochs)} epochs"]
        if self.divergence:
            lines.append(escape(self.divergence.sentence))
        where = escape(self.where)
        lines.append(f'<a href="{where}">{where}</a>' if self.where.startswith("http") else where)
        return "<br>".join(lines) + table
