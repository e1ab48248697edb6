"""A run's record in MLflow: one MLflow run from opening to `finish`."""

from __future__ import annotations

import csv
import io
import json
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset as InputDataset
from mlflow.entities import Metric
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_PARENT_RUN_ID

from jointdec.tracking.environment import device, git_state, mend_stale_runs, process_tags
from jointdec.tracking.metrics import MetricWriter, epoch_metrics, plain_metrics, without_infinities
from jointdec.tracking.mlflow_run import STATUS, MlflowRun, as_input, dataset_input, quieten, where_is
from jointdec.tracking.records import NewRun, environment_files
from jointdec.tracking.store import open_store
from jointdec.tracking.tracker import Tracker, TrialOf
from jointdec.tracking.uri import hide_credentials
from jointdec.training.result import EpochResult

if TYPE_CHECKING:
    import keras

    from jointdec.dataset import Dataset

STEPS, FEW_STEPS, TRIAL_STEPS = 2000, 500, 200  # points of each curve over the steps, see `thinning` and the writer
DIGEST_LIMIT = 36  # characters of a data set's, MLflow's
NEEDED = ("keras", "mlflow", "numpy", "tensorflow")  # to load a stored model


class MlflowTracker(MlflowRun, Tracker):
    """See `Tracker`. The constructor asks the store, entering the block starts the run.

    The run is active in MLflow, so ``mlflow.log_…`` of the user's own code reaches it. MLflow gets some points of each
    curve over the steps; all of them are in the artifact curves.npz.

    Args:
        uri: an absolute tracking URI.
        run: what it begins with.
        trial: of a sweep, which trial this is. Its run has no system metrics, no list of packages (its parent has it),
            and TRIAL_STEPS points of each curve over the steps.

    Raises:
        UserError: the store cannot be used.
    """

    run_id: str

    def __init__(self, uri: str, run: NewRun, trial: TrialOf | None = None) -> None:
        quieten()
        if trial:
            self._client, self._experiment = MlflowClient(uri), trial.parent.experiment_id
        else:
            self._client, self._experiment = open_store(uri, run.experiment)
            mend_stale_runs(self._client, self._experiment)
        self._uri, self._run, self._trial = uri, run, trial

    def __enter__(self) -> Self:
        """Start the run; what is known by now is its first content."""
        run, trial = self._run, self._trial
        git = None if trial else git_state(Path.cwd())
        self._environment_uri = os.environ.get("MLFLOW_TRACKING_URI")
        mlflow.set_tracking_uri(self._uri)
        tags = {**run.tags, **process_tags()} | ({MLFLOW_GIT_COMMIT: git.commit} if git else {})
        tags |= _trial_tags(trial) if trial else {}
        with _without_variable("MLFLOW_RUN_ID"):  # else that run would be taken up and written over
            started = mlflow.start_run(
                experiment_id=self._experiment,
                run_name=run.name,
                tags=tags,
                log_system_metrics=trial is None,
                nested=True,  # below a sweep's run of the same process, if there is one
            )
        self.run_id = started.info.run_id
        self.where = where_is(self._uri, self._experiment, self.run_id)
        self._ended = False
        self._infinities = 0
        self._every: int | None = None
        self._latest = time.time()
        self._writer = MetricWriter(lambda metrics: self._client.log_batch(self.run_id, metrics=metrics))
        try:
            self.log_params(run.params)
            self.log_texts({**run.files, **({} if trial else environment_files(git))})
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def log_devices(self, accelerators: Sequence[str]) -> None:
        """See `Tracker.log_devices`."""
        self.set_tags({"jointdec.devices": ", ".join(accelerators) or "CPU"})
        self.log_texts({"environment/device.json": json.dumps(device(accelerators), indent=2)})

    def log_dataset(self, dataset: Dataset) -> None:
        """See `Tracker.log_dataset`."""
        self._client.log_inputs(self.run_id, [dataset_input(dataset)])
        missing = {f"jointdec.missing.{head}": count for head, count in dataset.missing.items()}
        self.set_tags(
            {
                "jointdec.data_digest": dataset.digest,
                "jointdec.data_skipped": len(dataset.skipped),
                "jointdec.labels": "not_a_distribution" if dataset.warnings else "distributions",
                **missing,
            }
        )
        if dataset.skipped:
            table = io.StringIO()
            rows = csv.writer(table, lineterminator="\n")
            rows.writerow(("line", "text", "reason"))
            rows.writerows((skipped.line, skipped.text, skipped.reason) for skipped in dataset.skipped)
            self.log_texts({"data/skipped.csv": table.getvalue()})

    def log_arrays(self, name: str, digest: str, shapes: Mapping[str, Sequence[int]]) -> None:
        """See `Tracker.log_arrays`."""
        profile = json.dumps({key: list(shape) for key, shape in shapes.items()})
        described = InputDataset(name, digest[:DIGEST_LIMIT], source_type="local", source="memory", profile=profile)
        self._client.log_inputs(self.run_id, [as_input(described)])
        self.set_tags({"jointdec.data_digest": digest})

    def log_epoch(self, result: EpochResult) -> None:
        """See `Tracker.log_epoch`."""
        now = time.time()
        if self._every is None:
            total = self._run.total_steps(result)
            self._every = -(-total // TRIAL_STEPS) if self._trial else thinning(total)
        self._put(epoch_metrics(result, ended=now, not_before=self._latest, every=self._every))
        self._latest = now

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """See `Tracker.log_metrics`."""
        self._put(plain_metrics(metrics, step, time.time()))

    def log_model(self, model: keras.Model) -> str:
        """See `Tracker.log_model`.

        ``mlflow.keras.load_model(uri)`` gives the Keras model back. ``mlflow.pyfunc.load_model(uri)`` works as well,
        but MLflow wraps the dictionary of the heads into a NumPy array of shape () and dtype object. ``.item()``
        unwraps it: ``loaded.predict(x).item()["price"]`` is the head's array.
        """
        import mlflow.keras  # imports Keras

        # given, since MLflow takes 9 s to find them out by running the model in a new process
        needed = [f"{name}=={version(name)}" for name in NEEDED]
        stored = mlflow.keras.log_model(model, name="model", signature=_signature(model), pip_requirements=needed)
        return str(stored.model_uri)

    def finish(self, outcome: str) -> None:
        """See `Tracker.finish`."""
        self._writer.close()
        self._end(outcome)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended:
            return
        if error is None:
            self.finish("finished")
            return
        trace_text = hide_credentials("".join(traceback.format_exception(error)))
        outcome = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        # the status first: a second Ctrl-C must not catch the run RUNNING while metrics are being flushed
        last_steps: tuple[Callable[[], None], ...] = (
            lambda: self._end(outcome),
            lambda: self.log_texts({"traceback.txt": trace_text}),
            self._writer.close,
        )
        for last in last_steps:
            try:
                last()
            except Exception as second:
                error.add_note(f"Besides, MLflow run {self.run_id}: {hide_credentials(str(second))}")

    def _put(self, metrics: list[Metric]) -> None:
        kept = without_infinities(metrics)
        self._writer.put(kept)
        if len(kept) < len(metrics):
            self._infinities += len(metrics) - len(kept)
            self.set_tags({"jointdec.nonfinite_values": self._infinities})

    def _end(self, outcome: str) -> None:
        self._ended = True
        try:
            self.set_tags({"jointdec.outcome": outcome})
        finally:  # else MLflow itself would end the run at the interpreter's exit, as FINISHED
            mlflow.end_run(STATUS[outcome])
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # undoes the first call; None is allowed
            os.environ.pop("MLFLOW_TRACKING_URI", None)  # where MLflow keeps it, too
            if self._environment_uri is not None:
                os.environ["MLFLOW_TRACKING_URI"] = self._environment_uri


def thinning(steps: int) -> int:
    """Each so many'th of a run's steps is recorded in MLflow.

    A long run has 2,000 points of each curve. A run of less than 8,000 steps has every fourth, for what the writing
    takes off the training then; a short one has 500, or all of its steps.
    """
    return max(-(-steps // STEPS), min(STEPS // FEW_STEPS, -(-steps // FEW_STEPS)))


@contextmanager
def _without_variable(name: str) -> Iterator[None]:
    """The environment without a variable, for as long as it takes."""
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value


def _trial_tags(trial: TrialOf) -> dict[str, str]:
    parent = trial.parent
    return {MLFLOW_PARENT_RUN_ID: parent.run_id, "jointdec.sweep": parent.study, "jointdec.trial": str(trial.number)}


def _signature(model: keras.Model) -> ModelSignature | None:
    """Of a model that knows its inputs: MLflow has signatures for one array, or for several with names."""
    inputs = getattr(model, "inputs", None)
    if not inputs or not isinstance(model.output, Mapping):
        return None
    named = len(inputs) > 1
    return ModelSignature(
        inputs=Schema([_spec(tensor, tensor.name if named else None) for tensor in inputs]),
        outputs=Schema([_spec(tensor, name) for name, tensor in model.output.items()]),
    )


def _spec(tensor: keras.KerasTensor, name: str | None) -> TensorSpec:
    return TensorSpec(np.dtype(tensor.dtype), tuple(-1 if side is None else side for side in tensor.shape), name)
