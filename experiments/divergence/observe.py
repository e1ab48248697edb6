"""What jointdec says of a case, in both of its loops, and whether a replay from the file agrees."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cases import STEP, Case
from hydra import compose, initialize_config_dir

from jointdec.config import Config, conf_folder, parse
from jointdec.dataset import Dataset
from jointdec.divergence.last_good import LastGood, go_on, read_last_good
from jointdec.divergence.step_again import batch_of_step
from jointdec.objective.formulation import make_formulation
from jointdec.problems.molecules.forensics import investigate
from jointdec.problems.molecules.load import load
from jointdec.training import make_training
from jointdec.training.loop import Loop
from jointdec.training.order import steps_per_epoch


@dataclass(frozen=True)
class Seen:
    """What was said: step, tensor, cause; None where nothing was. ``replayed`` is whether the file says the same."""

    step: int | None
    tensor: str | None = None
    cause: str | None = None
    replayed: bool = False


def prepare(case: Case, *overrides: str) -> tuple[Config, Dataset]:
    """The case's configuration and data."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = parse(compose("config", overrides=["loss=split", *case.overrides, *overrides]))
    dataset = _load(config.data.name)
    return config, case.data(config, dataset) if case.data else dataset


@functools.cache
def _load(name: str) -> Dataset:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return load(parse(compose("config", overrides=[f"data={name}"])).data)


def advance(case: Case, loop: Loop) -> int:
    """Put a fault of the state in its place; the step to go on from."""
    if case.state is None:
        return 0
    loop.run_steps(0, 0, STEP, loop.policy.norms)
    loop.restore(case.state(loop.state()))
    return STEP


def observe(case: Case, loop: str) -> Seen:
    """Train until it diverges, investigate, write, read, and take the step again."""
    config, dataset = prepare(case, f"training={loop}")
    training = make_training(config, make_formulation(config), dataset)
    steps = steps_per_epoch(len(dataset.train), config.training.batch_size)
    first, bad = advance(case, training), None
    for epoch in range(case.epochs):
        taken = training.run_guarded(epoch, first, steps)
        if taken.bad is not None:
            bad = epoch * steps + taken.bad
            break
        first = 0
    if bad is None:
        return Seen(None)
    assert training.bad_state is not None
    found = investigate(config, dataset, training.bad_state, bad)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "state.npz")
        LastGood(bad, batch_of_step(config, dataset, bad), training.bad_state).save(file)
        kept = read_last_good(file)
    again = investigate(config, dataset, kept.state, kept.step)
    same = (again.tensor, again.cause) == (found.tensor, found.cause)
    return Seen(bad, found.tensor, found.cause, same and go_on(config, dataset, kept, 0).bad == bad)
