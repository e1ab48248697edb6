"""A training's results as pandas tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from jointdec.reporting.curve_arrays import SECONDS
from jointdec.training.result import EpochResult, all_epochs, all_norms, all_steps


def steps_frame(results: Sequence[EpochResult]) -> pd.DataFrame:
    """A row a step, indexed by its global number: ``loss`` and one column a head."""
    return _frame("step", *all_steps(results)) if results else _frame("step", (), {})


def norms_frame(results: Sequence[EpochResult]) -> pd.DataFrame:
    """A row a step whose gradient was measured: ``grad_norm``, its 2-norm over all variables, and a column a layer."""
    return _frame("step", *all_norms(results))


def epochs_frame(results: Sequence[EpochResult]) -> pd.DataFrame:
    """A row an epoch: ``train/…``, ``val/…``, ``seconds`` of its training steps, and ``ms_per_step``."""
    times = {
        SECONDS: np.array([result.seconds for result in results]),
        "ms_per_step": np.array([result.ms_per_step for result in results]),
    }
    return _frame("epoch", [result.epoch for result in results], all_epochs(results) | times)


def _frame(
    axis: str, at: Sequence[int] | npt.NDArray[np.int64], curves: Mapping[str, npt.NDArray[np.float64]]
) -> pd.DataFrame:
    return pd.DataFrame(dict(curves), index=pd.Index(at, dtype=np.int64, name=axis))
