"""``python -m jointdec.replay RUN_ID``: a recorded run again.

Of a run that diverged: from the last good weights, the very step that went NaN or Inf, tensor by tensor and by the
training loop. With overrides (loss=split, optimizer.learning_rate=1e-4, training.precision=float32, ...): that step and
the ones after it, with the remedy in place.

Of any other run: all of it, from its recorded configuration, and whether the curves are the same, to the last bit.

Exit codes: 0 the run was reproduced, or with overrides the steps are finite; 2 bad input; 3 with overrides the steps
diverge again; 4 the run was not reproduced; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from jointdec.command import argument_parser, exit_code
from jointdec.errors import UserError

if TYPE_CHECKING:
    from jointdec.config import Config
    from jointdec.dataset import Dataset
    from jointdec.divergence.last_good import LastGood
    from jointdec.reporting.terminal import Terminal
    from jointdec.tracking.recorded import Recorded

DIVERGED, NOT_REPRODUCED = 3, 4
STEPS = 100  # after the one that diverged
FREE = ("loss", "optimizer", "training.precision", "training.name", "training.jit")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argument_parser("replay", __doc__)
    parser.add_argument("run_id", help="MLflow's id of the run")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="what to try on the step that diverged")
    parser.add_argument("--steps", type=_count, default=STEPS, help=f"steps to take after it (default {STEPS})")
    given = parser.parse_intermixed_args(arguments)

    def work() -> int:
        with TemporaryDirectory() as folder:
            return replay(given.run_id, given.overrides, given.steps, Path(folder))

    return exit_code(work)


def replay(run_id: str, overrides: Sequence[str], steps: int, folder: Path) -> int:
    """Take a recorded run again.

    Args:
        run_id: MLflow's id.
        overrides: in Hydra's syntax; tracking.uri says where the record is.
        steps: how many to take after the one that diverged.
        folder: an empty one for the record's artifacts.

    Returns:
        The exit code.

    Raises:
        UserError: there is no such run, it cannot be taken again here, or the overrides are wrong.
    """
    from jointdec.reporting.terminal import Terminal
    from jointdec.tracking.uri import resolve_uri

    store = [override for override in overrides if override.startswith("tracking.uri=")]
    problem = [override for override in overrides if override.startswith("problem=")]
    changes = [override for override in overrides if override not in (*store, *problem)]
    uri = resolve_uri(store[-1].partition("=")[2].strip("'\"") if store else None)
    terminal = Terminal()
    with terminal.waiting("reading the record"):
        from jointdec.tracking.recorded import read_run, recorded_config

        recorded = read_run(uri, run_id, folder)
        config = as_chosen(recorded_config(recorded.config_text, problem), recorded)
        changed = as_chosen(recorded_config(recorded.config_text, [*problem, *changes]), recorded)
    dataset = load_recorded(recorded, config, terminal)
    if (folder / "divergence/state.npz").is_file():
        return replay_step(recorded, config, changed if changes else None, dataset, steps, terminal)
    if changes:
        raise UserError(f"Run {run_id} has no step that diverged to try {' '.join(changes)} on: use jointdec.run.")
    return replay_run(recorded, config, dataset, terminal)


def as_chosen(config: Config, recorded: Recorded) -> Config:
    """With what ``training.jit=auto`` chose then: timed again it might choose the other, whose last bits differ."""
    chosen = recorded.tags.get("jointdec.jit")
    if config.training.jit != "auto" or chosen is None:
        return config
    return replace(config, training=replace(config.training, jit=chosen == "true"))


def load_recorded(recorded: Recorded, config: Config, terminal: Terminal) -> Dataset:
    """The data that the run trained on.

    Raises:
        UserError: they cannot be read, or are not the same.
    """
    from jointdec.problems import find

    problem = find(config.problem)
    with terminal.preparation() as progress:
        dataset = problem.load(config.data, progress)
    if problem.digest and (code := recorded.tags.get("jointdec.problem_digest")) != problem.digest:
        terminal.note(
            f"warning      {problem.where} is not the file of then: its digest is {problem.digest}, and was {code}."
        )
    then = recorded.tags.get("jointdec.data_digest")
    if dataset.digest != then:
        raise UserError(
            f"Run {recorded.run_id} trained on data with the digest {then}, and data={config.data.name} here has "
            f"{dataset.digest}: it cannot be taken again on other data."
        )
    return dataset


def replay_step(  # noqa: PLR0913, PLR0917 (the record, and what to do with it)
    recorded: Recorded,
    config: Config,
    changed: Config | None,
    dataset: Dataset,
    steps: int,
    terminal: Terminal,
) -> int:
    """Take the step that diverged again; with a changed configuration, that one and the steps after it."""
    with terminal.waiting("starting TensorFlow"):
        from jointdec.training.devices import start_backend

        start_backend(changed or config)
        from jointdec.divergence.last_good import go_on, read_last_good
        from jointdec.divergence.step_again import batch_of_step
        from jointdec.problems import find

    last_good = read_last_good(recorded.artifacts / "divergence/state.npz")
    step = last_good.step
    if batch_of_step(config, dataset, step).tolist() != last_good.batch.tolist():
        raise UserError(f"Step {step} trains on other examples here than it did: NumPy draws another order.")
    if changed:
        return try_remedy(config, changed, dataset, last_good, steps, terminal)
    divergence = find(config.problem).investigate(config, dataset, last_good.state, step)
    terminal.explain_divergence(divergence, recorded.run_id)
    then = {name: recorded.tags.get(f"jointdec.divergence.{name}") for name in ("tensor", "cause")}
    same = all(getattr(divergence, name) == value for name, value in then.items())
    terminal.note(f"recorded     {then['tensor']}, {then['cause']}: {'the same' if same else 'NOT the same'}")
    again = go_on(config, dataset, last_good, 0).bad == step
    terminal.note(f"the loop     {'diverges' if again else 'does NOT diverge'} in this step, from the same weights")
    return 0 if same and again else NOT_REPRODUCED


def try_remedy(  # noqa: PLR0913, PLR0917 (two configurations, and where to begin)
    config: Config, changed: Config, dataset: Dataset, last_good: LastGood, steps: int, terminal: Terminal
) -> int:
    """Take the step and the ones after it with another configuration, and say whether they stay finite."""
    from jointdec.divergence.last_good import go_on
    from jointdec.problems import find

    refuse_other_step(config, changed)
    went = go_on(changed, dataset, last_good, steps)
    terminal.steps(last_good.step, went.losses)
    if went.bad is None:
        terminal.note(f"finite       step {last_good.step}, and the {len(went.losses['loss']) - 1} steps after it")
        return 0
    assert went.state is not None
    terminal.note(f"diverges     {went.bad - last_good.step} steps after the recorded one")
    terminal.explain_divergence(find(changed.problem).investigate(changed, dataset, went.state, went.bad), None)
    return DIVERGED


def refuse_other_step(config: Config, changed: Config) -> None:
    """Refuse a change that makes another step of it: other data, another batch, weights that do not fit.

    Raises:
        UserError: there is one.
    """
    from jointdec.problems import find

    live = find(config.problem).live
    free = replace(
        changed,
        loss=config.loss,
        optimizer=config.optimizer,
        tracking=config.tracking,
        model=replace(changed.model, **{key: getattr(config.model, key) for key in live}),
        training=replace(
            changed.training, **{name: getattr(config.training, name) for name in ("name", "precision", "jit")}
        ),
    )
    if changed.optimizer.name != config.optimizer.name:
        raise UserError(
            f"The step was {config.optimizer.name}'s, and its record has nothing for {changed.optimizer.name} to go on "
            "from: try another optimizer with jointdec.run."
        )
    for group in ("data", "model", "training", "seed"):
        if getattr(free, group) != getattr(config, group):
            raise UserError(
                f"The override changes {group}, so it would not be the same step any more; on the step that diverged "
                f"one can try {', '.join((*FREE, *(f'model.{key}' for key in live)))}."
            )


def replay_run(recorded: Recorded, config: Config, dataset: Dataset, terminal: Terminal) -> int:
    """Train a run that did not diverge again, and compare every number of its curves."""
    if not (recorded.artifacts / "curves.npz").is_file():
        raise UserError(f"Run {recorded.run_id} has no artifact curves.npz to compare with: it did not end by itself.")
    from jointdec.interrupt import StopRequest
    from jointdec.reporting.curve_arrays import largest_difference, repeatable, save_curves
    from jointdec.tracking.tracker import Untracked
    from jointdec.training.epochs import run_epochs
    from jointdec.training.state import read_arrays

    with terminal.waiting("starting TensorFlow"):
        from jointdec.training.devices import start_backend

        accelerators = start_backend(config)
        from jointdec.objective.formulation import make_formulation
        from jointdec.training import make_training
        from jointdec.training.from_config import fit_labels
    then = repeatable(read_arrays(recorded.artifacts / "curves.npz"))
    epochs = replace(config, training=replace(config.training, epochs=len(then["epoch"])))
    with terminal.waiting("compiling"):
        formulation = make_formulation(epochs, dataset.train.x)
        training = make_training(epochs, formulation, fit_labels(dataset, formulation))
    with StopRequest() as stop:
        results = run_epochs(epochs, training, Untracked(), terminal, stop).results
    save_curves(results, recorded.artifacts / "again.npz")
    difference = largest_difference(then, repeatable(read_arrays(recorded.artifacts / "again.npz")))
    numbers = sum(values.size for values in then.values())
    if difference is None:
        terminal.note(f"equal        all {numbers:,} numbers of the curves, to the last bit")
        return 0
    terminal.note(f"different    {difference}")
    changed = recorded.differences(accelerators)
    terminal.note(f"not as then  {'; '.join(changed) or 'nothing that jointdec knows of'}")
    return NOT_REPRODUCED


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
