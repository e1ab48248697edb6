"""Recording a run: in MLflow, or nowhere. MLflow is imported when a run opens, not when this package is."""

import os

from jointdec.tracking.tracker import Parent, Tracker, TrialOf, open_fit_tracker, open_tracker

__all__ = ["Parent", "Tracker", "TrialOf", "open_fit_tracker", "open_tracker"]

# MLflow reads these when it is imported
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves the machine unasked
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # the files of a run are read in a blink
