"""What a person sees of `jointdec.fit`, at a terminal or in a notebook: a bar, a line an epoch, where the record is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jointdec.errors import BadArgument
from jointdec.training.result import EpochResult
from jointdec.training.step import Logs, numbers

Show = Callable[[EpochResult, Logs], None]


class FitTerminal:
    """Writes to standard output.

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
    def epochs(self, total: int) -> Iterator[Show]:
        """The training: takes each epoch with its logs."""
        columns = (
            TextColumn("[bold]epoch[/]"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, TextColumn("{task.description}"), console=self._console, disable=not self._bar
        ) as progress:
            task = progress.add_task("", total=total)

            def show(result: EpochResult, logs: Logs) -> None:
                shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers(logs).items())
                text = f"{shown}  {result.ms_per_step:.3g} ms/step"
                if self._bar:
                    progress.update(task, advance=1, description=text)
                else:
                    self.note(f"epoch {result.epoch + 1}  {text}")

            yield show
