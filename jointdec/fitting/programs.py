"""`jointdec.fit` by programs: epochs of `OwnModelLoop`, and Keras's callbacks between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from jointdec.divergence.own_model import StepDivergence, find_divergence
from jointdec.fitting.data import Asked, Given, Prepared, prepare
from jointdec.fitting.run import Run
from jointdec.interrupt import stop_request
from jointdec.reporting.curve_arrays import epochs_frame, norms_frame, save_curves, steps_frame
from jointdec.reporting.terminal import FitTerminal
from jointdec.tracking.tracker import Tracker
from jointdec.training.loop import Policy
from jointdec.training.matching import matching
from jointdec.training.own_model import OwnModelLoop
from jointdec.training.result import EpochResult, diverged_at
from jointdec.training.step import Logs, head_name, numbers


class ProgramTraining:
    """A training that is ready to begin: everything that can be refused was, and the programs are compiled.

    Attributes:
        prepared: the data.
        described: name, digest and shapes of them, for the record.
        total_steps: of the whole training.
        matching: which loss and metric goes to which output; None of a data set, whose labels are not looked at.
        loop: what trains.
    """

    def __init__(
        self,
        model: keras.Model,
        given: Given,
        asked: Asked,
        callbacks: Sequence[keras.callbacks.Callback],
        said: FitTerminal,
    ) -> None:
        self._model, self._asked, self._given_callbacks = model, asked, callbacks
        self.prepared: Prepared = prepare(model, given, asked)
        self.described = self.prepared.described
        self.matching = matching(model, self.prepared.examples) if self.prepared.examples else None
        if self.matching:
            said.note(str(self.matching))
        batches = self.prepared.train.feed.batches
        epochs = asked.epochs - asked.initial_epoch
        self.total_steps = epochs * batches.steps
        self.loop = OwnModelLoop(
            model,
            self.prepared.train,
            self.prepared.val,
            policy=Policy(asked.on_divergence, norms=asked.norms),
            jit=asked.jit,
            steps=self.total_steps,
        )

    @property
    def settings(self) -> dict[str, object]:
        """What decided the training, for the record."""
        batches = self.prepared.train.feed.batches
        names = ("epochs", "initial_epoch", "shuffle", "seed", "on_divergence", "norms")
        settings: dict[str, object] = {name: getattr(self._asked, name) for name in names}
        return settings | {"batch_size": batches.size, "rows": batches.whole + batches.rest, "jit": self.loop.jit}

    def train(self, tracker: Tracker, folder: Path, said: FitTerminal) -> Run:
        """Train until the last epoch, a divergence, a callback's or the user's wish to stop.

        Args:
            tracker: the record, entered.
            folder: an empty one for files that go into the record.
            said: what a person sees.
        """
        callbacks = keras.callbacks.CallbackList(
            list(self._given_callbacks),
            add_history=True,
            model=self._model,
            epochs=self._asked.epochs,
            steps=self.prepared.train.feed.batches.steps,
            verbose=0,
        )
        self.loop.around_test = (callbacks.on_test_begin, callbacks.on_test_end)
        if self.matching:
            (folder / "matching.txt").write_text(f"{self.matching}\n", encoding="utf-8")
            tracker.log_artifact(folder / "matching.txt")
        results, outcome = self._epochs(callbacks, tracker, said)
        if results:
            save_curves(results, folder / "curves.npz")
            tracker.log_artifact(folder / "curves.npz")
        divergence = self._divergence(results)
        if divergence:
            names = ("step", "tensor", "operation", "line", "cause")
            tracker.set_tags({f"jointdec.divergence.{name}": getattr(divergence, name) for name in names})
            divergence.state.save(folder / "state.npz", batch=divergence.batch, step=np.array(divergence.step))
            tracker.log_artifact(folder / "state.npz", "divergence")
        return Run(
            model=self._model,
            history=self._model.history.history,
            steps=steps_frame(results),
            norms=norms_frame(results),
            epochs=epochs_frame(results),
            outcome=outcome,
            divergence=divergence,
            jit=self.loop.jit,
            run_id=tracker.run_id,
            where=tracker.where,
        )

    def _epochs(
        self, callbacks: keras.callbacks.CallbackList, tracker: Tracker, said: FitTerminal
    ) -> tuple[list[EpochResult], str]:
        model, results, outcome = self._model, list[EpochResult](), "finished"
        model.stop_training = False
        callbacks.on_train_begin()
        first = model._initial_epoch or self._asked.initial_epoch  # BackupAndRestore sets it, as for Keras's own fit
        logs: Logs = {}
        with stop_request() as stop, said.epochs(self._asked.epochs - first) as show:
            for epoch in range(first, self._asked.epochs):
                callbacks.on_epoch_begin(epoch)
                result = self._named(self.loop.run_epoch(epoch))
                results.append(result)
                tracker.log_epoch(result)
                logs = dict(self.loop.logs)
                callbacks.on_epoch_end(epoch, logs)
                show(result, logs)
                if result.diverged_at is not None and self.loop.stops:
                    break
                if stop.made:
                    outcome = "interrupted"
                if model.stop_training or stop.made:
                    break
        if isinstance(model.optimizer, keras.optimizers.Optimizer):
            model.optimizer.finalize_variable_values(model.trainable_weights)
        callbacks.on_train_end(logs)
        return results, outcome if diverged_at(results) is None else "diverged"

    def _named(self, result: EpochResult) -> EpochResult:
        """With Keras's means and metrics of the epoch, by the names of the heads."""
        last = {name: float(values[-1]) for name, values in result.steps.items()}
        self.loop.log_training(last)
        bad = len(result.skipped) + (result.diverged_at is not None and self.loop.stops)
        if len(result.step_numbers) == bad:  # Keras's mean of nothing is 0, and would be the best loss of all
            self.loop.logs |= {name: np.nan for name in self.loop.logs if not name.startswith("val_")}
        train = numbers({name: value for name, value in self.loop.logs.items() if not name.startswith("val_")})
        return replace(result, train=self._by_head(train), val=self._by_head(result.val))

    def _by_head(self, logs: dict[str, float]) -> dict[str, float]:
        return {head_name(self._model, name): value for name, value in logs.items()}

    def _divergence(self, results: Sequence[EpochResult]) -> StepDivergence | None:
        step = diverged_at(results)
        if step is None:
            return None
        return find_divergence(self.loop, results, self._rows_of(step))

    def _rows_of(self, step: int) -> npt.NDArray[np.integer]:
        order, batches = self.prepared.order, self.prepared.train.feed.batches
        if order is None:
            return np.empty(0, np.int64)
        epoch, within = divmod(step, batches.steps)
        return order(epoch)[within * batches.size : (within + 1) * batches.size]
