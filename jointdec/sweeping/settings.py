"""``sweep.…``: what a study is, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from jointdec.config import Limits, did_you_mean, typed
from jointdec.errors import UserError
from jointdec.reporting.summary import higher_is_better

EPOCH_METRICS = (
    *(f"train/{name}" for name in ("loss", "nodes", "edges")),
    *(f"val/{name}" for name in ("loss", "nodes", "edges", "node_accuracy", "edge_accuracy", "exact")),
    "time/ms_per_step",
)
FINAL_METRICS = tuple(
    f"generate/{name}" for name in ("validity", "uniqueness", "novelty", "connected", "connected_validity")
)
WEIGHTED = ("train/loss", "val/loss")
SCALARS_ALLOWED = ("objective", "direction", "penalty")  # of the keys that hold lists


@dataclass
class SweepConfig:
    """The keys of conf/sweep/default.yaml; after `parse_settings` directions and the pruner are decided."""

    name: str | None
    n_trials: Annotated[int, Limits(at_least=1)]
    workers: Annotated[int, Limits(at_least=1)]
    storage: str | None
    objective: list[str]
    direction: Annotated[list[str], Limits(one_of=("minimize", "maximize"))]
    sampler: Annotated[str, Limits(one_of=("tpe", "random", "grid"))]
    pruner: Annotated[str, Limits(one_of=("auto", "hyperband", "median", "none"))]
    penalty: list[float]

    @property
    def goals(self) -> str:
        """Directions and objectives in words."""
        return ", ".join(f"{to} {name}" for to, name in zip(self.direction, self.objective, strict=True))


def parse_settings(values: dict[str, Any]) -> SweepConfig:
    """The checked settings.

    Raises:
        UserError: an unknown key, a wrong value, an objective that nothing records, a pruner that cannot prune.
    """
    lists = {key: [values[key]] for key in SCALARS_ALLOWED if key in values and not isinstance(values[key], list)}
    settings: SweepConfig = typed("sweep", SweepConfig, values | lists)
    _check_objectives(settings.objective)
    for key in ("direction", "penalty"):
        given = getattr(settings, key)
        if given and len(given) != len(settings.objective):
            raise UserError(
                f"sweep.{key} has {len(given)} entries, but sweep.objective has {len(settings.objective)}: "
                "give one for each."
            )
    settings.direction = settings.direction or [
        "maximize" if higher_is_better(name) else "minimize" for name in settings.objective
    ]
    prunable = len(settings.objective) == 1 and settings.objective[0] in EPOCH_METRICS
    if settings.pruner == "auto":
        settings.pruner = "hyperband" if prunable and settings.sampler != "grid" else "none"
    if settings.pruner != "none" and not prunable:
        raise UserError(
            f"sweep.pruner={settings.pruner} needs one objective that is known after every epoch, but sweep.objective "
            f"is {', '.join(settings.objective)}: use sweep.pruner=none."
        )
    return settings


def _check_objectives(objectives: list[str]) -> None:
    known = [*EPOCH_METRICS, *FINAL_METRICS]
    if not objectives:
        raise UserError(f"sweep.objective is empty: name one or more of {', '.join(known)}.")
    for name in objectives:
        if name.startswith("test/"):
            raise UserError(
                f"sweep.objective is {name!r}, but what was chosen by the test split is not tested by it any more: use "
                f"{name.replace('test/', 'val/')}."
            )
        if name not in known:
            raise UserError(
                f"sweep.objective is {name!r}, which no trial records{did_you_mean(name, known)}; allowed are "
                f"{', '.join(known)}."
            )
    if len(set(objectives)) < len(objectives):
        raise UserError(f"sweep.objective names a metric twice: {', '.join(objectives)}.")
