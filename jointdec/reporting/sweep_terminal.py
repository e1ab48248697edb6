"""What a person at the terminal sees of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from optuna.trial import FrozenTrial, TrialState
from rich.progress import Progress, TaskID, TextColumn
from rich.table import Table

from jointdec.reporting.terminal import BARS, Terminal
from jointdec.sweeping.study import CAUSE

WIDTH = 12  # of the names before the facts


class SweepTerminal(Terminal):
    """See `Terminal`; the bar is of trials."""

    def facts(self, facts: dict[str, str]) -> None:
        """Lines of a name and a fact."""
        for name, fact in facts.items():
            self.note(f"{name:{WIDTH}} {fact}")

    @contextmanager
    def trials(self, total: int) -> Iterator[TrialsBar]:
        """The bar of the study."""
        with self._progress(TextColumn("[bold]trial[/]"), *BARS, TextColumn("{task.description}")) as progress:
            yield TrialsBar(self, progress, progress.add_task("", total=total))

    def best(self, trials: Sequence[FrozenTrial], objectives: Sequence[str]) -> None:
        """The best trials, or the front."""
        keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
        table = Table("trial", *objectives, *keys)
        for trial in trials:
            values = [f"{value:.5g}" for value in trial.values]
            points = [_short(trial.params[key]) if key in trial.params else "" for key in keys]
            table.add_row(str(trial.number), *values, *points)
        self._console.print(table)


class TrialsBar:
    """Shows how far a study is."""

    def __init__(self, terminal: SweepTerminal, progress: Progress, task: TaskID) -> None:
        self._terminal, self._progress, self._task = terminal, progress, task
        self._told: set[int] | None = None

    def __call__(self, ended: Sequence[FrozenTrial], best: Sequence[FrozenTrial]) -> None:
        """Move the bar, and say what is new.

        Args:
            ended: the trials that are over for good.
            best: the best one, or the front.
        """
        counts = {state: sum(trial.state == state for trial in ended) for state in TrialState}
        text = f"{_best(best)}  pruned {counts[TrialState.PRUNED]}  failed {counts[TrialState.FAIL]}"
        self._progress.update(self._task, completed=len(ended), description=text)
        if self._told is None:  # what earlier commands did
            self._told = {trial.number for trial in ended}
        for trial in ended:
            if trial.number not in self._told:
                self._told.add(trial.number)
                self._tell(trial)

    def _tell(self, trial: FrozenTrial) -> None:
        """On a terminal only what went wrong; the bar has the rest."""
        cause = trial.user_attrs.get(CAUSE)
        if cause or self._progress.disable:
            values = ", ".join(f"{value:.5g}" for value in trial.values or ())
            point = " ".join(f"{key}={_short(value)}" for key, value in trial.params.items())
            facts = (f"trial {trial.number}", trial.state.name.lower(), values, point, cause)
            self._terminal.note("  ".join(fact for fact in facts if fact))


def _best(best: Sequence[FrozenTrial]) -> str:
    if not best:
        return "none complete yet"
    if len(best[0].values) > 1:
        return f"front of {len(best)}"
    return f"best {best[0].values[0]:.5g} (trial {best[0].number})"


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
