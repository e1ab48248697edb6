"""Recording a run: in MLflow, or nowhere. MLflow is imported when a run opens, not when this package is."""

from jointdec.tracking.tracker import Tracker, open_tracker

__all__ = ["Tracker", "open_tracker"]
