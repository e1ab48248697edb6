"""What is laid out: one reference, each factor changed alone, factors changed together.

The reference is the asker's own Keras program with the repaired loss (R8) on the features that SCAT makes by default.
What the TensorFlow program had is taken from SCAT's published trainQM9.py, which the asker's `from scat import *` and
the names in the question point to; the asker's own copy was never shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from jointdec.config import Config
from jointdec.sweeping.points import Point, Points

DATA = ("data.scattering=spectral", "data.normalization=spherise")
REFERENCE_CONFIG = (
    *("model=two_tower", "model.alpha=0.2", "model.initializer=glorot_normal", "loss=split"),
    *(
        "optimizer=adam",
        "optimizer.learning_rate=1e-3",
        "optimizer.epsilon=1e-7",
        "training.batch_size=50",
        "training.reshuffle=true",
        "training.precision=float32",
    ),
)
HE, SCAT, WHITEN = "model.initializer=he_normal", "model=scat", "data.normalization=whiten"
TF1 = (HE, SCAT, "optimizer.epsilon=1e-8", "training.reshuffle=false")


@dataclass(frozen=True)
class Level:
    """One thing, or several, that differ from the reference.

    Attributes:
        name: of the study and in the tables.
        factor: what it changes; ``together`` for several.
        label: for people.
        overrides: on top of the reference.
        epochs: enough for equal epochs, equal steps and equal seconds, whichever is most.
    """

    name: str
    factor: str
    label: str
    overrides: tuple[str, ...]
    epochs: int


EPOCHS = 3  # of the reference
REFERENCE = Level("reference", "reference", "reference", (), EPOCHS)
LEVELS = (
    Level("glorot_uniform", "initializer", "Glorot uniform", ("model.initializer=glorot_uniform",), EPOCHS),
    Level("he_normal", "initializer", "normal, 2 / in (SCAT)", (HE,), EPOCHS),
    Level("epsilon_1e-8", "epsilon", "Adam's epsilon 1e-8", ("optimizer.epsilon=1e-8",), EPOCHS),
    Level("alpha_0.1", "alpha", "alpha 0.1", ("model.alpha=0.1",), EPOCHS),
    Level("alpha_0.3", "alpha", "alpha 0.3", ("model.alpha=0.3",), EPOCHS),
    Level("batch_20", "batch", "batch 20", ("training.batch_size=20",), EPOCHS),
    Level("batch_32", "batch", "batch 32", ("training.batch_size=32",), EPOCHS),
    Level("batch_300", "batch", "batch 300", ("training.batch_size=300",), 6 * EPOCHS),
    Level("one_order", "reshuffling", "never reshuffled", ("training.reshuffle=false",), EPOCHS),
    Level("whiten", "normalisation", "whitened (W)", (WHITEN,), EPOCHS),
    Level("diffusion", "scattering", "diffusion (D)", ("data.scattering=diffusion",), EPOCHS),
    Level("answer", "loss of the atoms", "the answer's loss", ("loss=answer",), EPOCHS + 1),
    Level("float64", "dtype", "float64", ("training.precision=float64",), EPOCHS),
    Level("bfloat16", "dtype", "bfloat16", ("training.precision=bfloat16",), EPOCHS),
    Level("float16", "dtype", "float16", ("training.precision=float16",), EPOCHS),
    Level("plain_gram", "head of the bonds", "plain Gram head (SCAT)", (SCAT,), EPOCHS + 1),
    Level("as_tf1", "together", "all as TF1 had it", (*TF1, "training.batch_size=300"), 6 * EPOCHS),
    Level("as_tf1_batch_50", "together", "as TF1, batch 50", TF1, EPOCHS + 1),
    Level(
        "keras_defaults",
        "together",
        "all as Keras's defaults",
        ("model.initializer=glorot_uniform", "model.alpha=0.3", "training.batch_size=32"),
        EPOCHS,
    ),
    # all combinations of three, each of which changes the scale of the logits
    Level("he_gram", "together", "SCAT's initial weights, plain Gram", (HE, SCAT), EPOCHS + 1),
    Level("he_whiten", "together", "SCAT's initial weights, whitened", (HE, WHITEN), EPOCHS),
    Level("gram_whiten", "together", "plain Gram, whitened", (SCAT, WHITEN), EPOCHS + 1),
    Level("he_gram_whiten", "together", "all three", (HE, SCAT, WHITEN), EPOCHS + 1),
)


@dataclass(frozen=True)
class Plan:
    """How much of it is run."""

    data: str
    levels: tuple[Level, ...]
    seeds: tuple[int, ...]
    workers: int
    rounds: int
    label_steps: int


QUICK_LEVELS = ("reference", "he_normal", "batch_300", "as_tf1")
FULL = Plan("qm9", (REFERENCE, *LEVELS), (0, 1, 2, 3, 4), workers=2, rounds=15, label_steps=1000)
QUICK = Plan(
    "molecules",
    tuple(level for level in (REFERENCE, *LEVELS) if level.name in QUICK_LEVELS),
    (0, 1),
    workers=1,
    rounds=2,
    label_steps=50,
)


def overrides_of(plan: Plan, level: Level) -> list[str]:
    """The whole configuration of a level, but for the seed."""
    epochs = f"training.epochs={level.epochs}"
    return [f"data={plan.data}", *DATA, *REFERENCE_CONFIG, *level.overrides, epochs]


def configure(plan: Plan, level: Level, point: Point | None = None) -> Config:
    """The configuration of a level, with the values of a point on top."""
    return Points(overrides_of(plan, level))(point or {})
