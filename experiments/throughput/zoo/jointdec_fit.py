"""``jointdec.fit`` on a model that it does not know: on data that fit, and on data that do not."""

from __future__ import annotations

from contender import Contender
from contenders import Missing

from zoo.models import compiled_model
from zoo.problem import BATCH, Zoo
from zoo.stub import fit  # STUB: to be replaced by `from jointdec import fit`
from zoo.turns import EPOCHS, in_turns


def whole(problem: Zoo) -> Contender:
    """All data at hand, as `fit` with defaults has them."""
    model, (x, y, w) = compiled_model(problem), problem.data
    options = {"batch_size": BATCH, "epochs": EPOCHS, "shuffle": False, "verbose": 0, "tracking": "none"}
    return in_turns(problem.steps, lambda turns: fit(model, x, y, sample_weight=w, callbacks=[turns], **options))


def streamed(problem: Zoo) -> Contender:
    """The same data in files, mapped into memory, of which a quarter may be used."""
    raise Missing("jointdec.fit is not there yet")  # STUB
