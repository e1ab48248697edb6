"""``python -m jointdec.run`` up to its first finished training step, which it announces; then it ends.

python first_step.py +experiment=split_loss tracking=none
"""

from __future__ import annotations

from typing import NoReturn

import jointdec.run
import jointdec.training.epochs
from jointdec.command import command
from jointdec.config import Config
from jointdec.interrupt import StopRequest
from jointdec.reporting.terminal import Terminal
from jointdec.tracking import Tracker
from jointdec.training.loop import Loop


def first_step(config: Config, training: Loop, tracker: Tracker, terminal: Terminal, stop: StopRequest) -> NoReturn:
    """Stand in for `jointdec.training.epochs.run_epochs`."""
    training.run_steps(epoch=0, first=0, stop=1, norms=config.training.norms)
    print("FINISHED", flush=True)
    raise KeyboardInterrupt


if __name__ == "__main__":
    jointdec.training.epochs.run_epochs = first_step
    command(jointdec.run.train)
