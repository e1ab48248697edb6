"""What the loops of the commands take from a configuration and a formulation."""

from __future__ import annotations

from jointdec.config import Config
from jointdec.objective.formulation import Formulation
from jointdec.training.loop import Policy


def policy_of(config: Config) -> Policy:
    """What the configuration says about steps that are not finite, and about norms."""
    training = config.training
    return Policy(training.on_divergence, training.max_skipped, training.norms)


def layers_of(formulation: Formulation) -> tuple[str, ...]:
    """The paths of the layers that train, in the order of their variables."""
    return tuple(dict.fromkeys(name.rpartition("/")[0] or name for name in formulation.variables))
