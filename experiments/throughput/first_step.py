"""``python -m jointdec.run`` up to its first finished training step, which it announces; then it ends.

python first_step.py +experiment=split_loss tracking=none
"""

from __future__ import annotations

from typing import NoReturn, cast

import jointdec.run
from jointdec.command import command
from jointdec.reporting.terminal import Terminal
from jointdec.tracking import Tracker
from jointdec.training import Training


def first_step(training: Training, epochs: int, tracker: Tracker, terminal: Terminal) -> NoReturn:
    """Stand in for `jointdec.run.run_epochs`."""
    from jointdec.training.program import CompiledTraining

    cast(CompiledTraining, training)._run(epoch=0, steps=1)
    print("FINISHED", flush=True)
    raise KeyboardInterrupt


if __name__ == "__main__":
    jointdec.run.run_epochs = first_step
    command(jointdec.run.train)
