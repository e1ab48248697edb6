"""What a person at the terminal sees, of the commands and of `jointdec.fit`.

Without a terminal: the same facts as plain lines, and no moving bars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from jointdec.config import Config, SpecimenConfig
from jointdec.dataset import Dataset
from jointdec.divergence.record import Divergence
from jointdec.errors import BadArgument
from jointdec.problems import find
from jointdec.problems.molecules.specimens import Finding
from jointdec.reporting.names import higher_is_better, is_share
from jointdec.training.result import EpochResult, Values

if TYPE_CHECKING:
    from jointdec.training.step import Logs

BARS = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
EXAMPLES = 3  # of the records that were skipped
FIRST_STEPS = 5  # in a table of steps


class Terminal:
    """Writes to standard output; a quiet one writes nothing."""

    def __init__(self, quiet: bool = False) -> None:
        self._console = Console(highlight=False, quiet=quiet)

    def announce(self, config: Config, dataset: Dataset, parameters: int, accelerators: list[str]) -> None:
        """What will be trained, on what, where."""
        sizes = " + ".join(f"{len(split):,}" for split in (dataset.train, dataset.val, dataset.test))
        training, loss = config.training, config.loss
        weights = ", ".join(f"{name} {weight:g}" for name, weight in {**loss.weights, **loss.terms}.items())
        live = "".join(f", {key} {getattr(config.model, key):g}" for key in find(config.problem).live)
        loop = "session" if loss.name == "tf1_graph" else training.name
        facts = {
            "formulation": f"{loss.name}, weights {weights}",
            "model": f"{config.model.name}, {parameters:,} parameters{live}",
            "data": f"{dataset.name}: {sizes} (train + val + test) from {dataset.source}",
            "training": f"{loop}, {training.epochs} epochs, batch {training.batch_size}, "
            f"{config.optimizer.name} {config.optimizer.learning_rate:g}, {training.precision}, seed {config.seed}",
            "device": ", ".join(accelerators) or "CPU",
        }
        for name, fact in facts.items():
            self._console.print(f"[bold]{name:12}[/] {fact}", soft_wrap=True)
        if dataset.skipped:
            self._console.print(f"[yellow]skipped {len(dataset.skipped):,} records that do not fit:[/]")
            for record in dataset.skipped[:EXAMPLES]:
                self.note(f"line {record.line}, {record.text[:60]!r}: {record.reason}")
        for warning in dataset.warnings:
            self.note(f"warning      {warning}")
        if dataset.missing:
            self.note(
                "missing      " + ", ".join(f"{head} {count:,}" for head, count in dataset.missing.items()) + " labels"
            )
        if config.specimen:
            self.note("specimen     kept because it is wrong, and expected to fail; see below")

    def note(self, text: str) -> None:
        """A further line."""
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def preparation(self) -> Iterator[Preparation]:
        """Bars of what comes before training."""
        with self._progress(TextColumn("{task.description}"), *BARS) as progress:
            yield Preparation(progress)

    @contextmanager
    def epochs(self, total: int) -> Iterator[Epochs]:
        """The bar of the training."""
        with self._progress(TextColumn("[bold]epoch[/]"), *BARS, TextColumn("{task.description}")) as progress:
            yield Epochs(progress, total)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Something that takes a few seconds."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(text):
            yield

    def results(self, results: Sequence[EpochResult], final: Mapping[str, float]) -> None:
        """The table at the end: validation after the last epoch, and the trained model's final metrics, if any."""
        if not results:
            return
        last = results[-1]
        table = Table("", "validation", "test")
        for name in last.val:
            test = final.get(f"test/{name}")
            table.add_row(name, _number(name, last.val[name]), "" if test is None else _number(name, test))
        if last.val:
            self._console.print(table)
        for prefix, word in (("generate/", "generated"), ("judge/", "judged")):
            found = {n.removeprefix(prefix): v for n, v in final.items() if n.startswith(prefix)}
            if found:
                shown = (f"{n} {v:.1%}" if word == "generated" else f"{n} {v:.4g}" for n, v in found.items())
                self.note(f"{word:12} " + ", ".join(shown))
        self.note(f"speed        {last.ms_per_step:.2f} ms/step in the last epoch")

    def explain(self, specimen: SpecimenConfig, finding: Finding | None) -> None:
        """What became of a specimen, and what to write in its place."""
        found = (
            f"{finding.kind}: {finding.evidence}"
            if finding
            else (
                f"nothing of what it declares ({', '.join(specimen.expects)}): an error of jointdec's, please report it"
            )
        )
        facts = {"found": found, "the code": specimen.did, "why": specimen.happens, "instead": specimen.instead}
        for name, fact in facts.items():
            self._console.print(f"[bold]{name:12}[/] {escape(fact)}")

    def explain_divergence(self, divergence: Divergence, run_id: str | None) -> None:
        """What went NaN or Inf, why, and what to do about it."""
        facts = {
            "diverged": divergence.sentence,
            "cause": f"{divergence.cause}. {divergence.evidence}",
            "try": divergence.remedy,
        }
        if run_id and not divergence.runaway:
            facts["replay"] = f"python -m jointdec.replay {run_id} {divergence.override}".rstrip()
        for name, fact in facts.items():
            self._console.print(f"[bold]{name:12}[/] {escape(fact)}", soft_wrap=name == "replay")

    def steps(self, first: int, columns: Mapping[str, Values]) -> None:
        """Some steps, from this global number on: the first ones and the last of each column (steps,)."""
        table = Table("step", *columns)
        count = len(next(iter(columns.values())))
        for step in sorted({*range(min(FIRST_STEPS, count)), count - 1}):
            table.add_row(str(first + step), *(f"{values[step]:.4g}" for values in columns.values()))
        self._console.print(table)

    def farewell(self, outcome: str, folder: Path, where: str) -> None:
        """How it ended, and where everything is."""
        self.note(f"outcome      {outcome}")
        self.note(f"files        {folder}")
        self.note(f"record       {where}")

    def _progress(self, *columns: ProgressColumn) -> Progress:
        return Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)


class Preparation:
    """Takes ``(description, done, total)``, a bar for each description."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, description: str, done: int, total: int) -> None:
        """Move the bar of this description."""
        if description not in self._tasks:
            self._tasks[description] = self._progress.add_task(description, total=total)
        self._progress.update(self._tasks[description], completed=done, total=total)


class Epochs:
    """Takes the epochs as they come."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def __call__(self, result: EpochResult) -> None:
        """Move the bar."""
        shown = [f"loss {result.train['loss']:.4f}"]
        shown += [f"val {result.val['loss']:.4f}"] if "loss" in result.val else []
        best = [name for name in result.val if higher_is_better(name)]
        shown += [f"{best[-1]} {result.val[best[-1]]:.1%}"] if best else []
        text = "  ".join([*shown, f"{result.ms_per_step:.2f} ms/step"])
        self._progress.update(self._task, advance=1, description=text)


def _number(name: str, value: float) -> str:
    return f"{value:.2%}" if is_share(name) else f"{value:.4f}"


class FitTerminal:
    """What a person sees of `jointdec.fit`, at a terminal or in a notebook: a bar, a line an epoch.

    Args:
        verbose: as Keras has it: 0 nothing, 1 or "auto" a bar, 2 a line an epoch.

    Raises:
        BadArgument: another value.
    """

    def __init__(self, verbose: int | str) -> None:
        if not isinstance(verbose, int | str) or verbose not in (0, 1, 2, "auto"):
            raise BadArgument(f"verbose is {verbose!r}, but must be 0, 1, 2 or 'auto'.")
        self.keras_verbose = verbose
        self._console = Console(highlight=False, quiet=verbose == 0)
        self._bar = verbose in (1, "auto") and (self._console.is_terminal or self._console.is_jupyter)

    def note(self, text: str) -> None:
        """A further line."""
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def epochs(self, total: int) -> Iterator[Callable[[EpochResult, Logs], None]]:
        """The training: takes each epoch with its logs."""
        from jointdec.training.step import numbers  # imports Keras, which no other terminal needs

        columns = (TextColumn("[bold]epoch[/]"), *BARS, TextColumn("{task.description}"))
        with Progress(*columns, console=self._console, disable=not self._bar) as progress:
            task = progress.add_task("", total=total)

            def show(result: EpochResult, logs: Logs) -> None:
                shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers(logs).items())
                text = f"{shown}  {result.ms_per_step:.3g} ms/step"
                if self._bar:
                    progress.update(task, advance=1, description=text)
                else:
                    self.note(f"epoch {result.epoch + 1}  {text}")

            yield show
