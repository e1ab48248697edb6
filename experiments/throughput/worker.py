"""One contender in its own process, which lives through all rounds: JSON lines in, JSON lines out.

    {"file": "molecules.npz", "batch": 50}   builds it and trains epoch 0   -> {"ms_per_step": ..., "loss": ...}
    {"model": "mlp", "rows": 5000}           likewise, one of the models of zoo/
    {"epoch": 1}                             trains epoch 1                 -> likewise
    nothing more                             ends

It answers ``{"missing": "why"}`` where the machine lacks what the contender needs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from contenders import Missing, make
from problem import Problem, read
from zoo.problem import Zoo


def main(name: str) -> None:
    """Serve until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the frameworks print must not come between the answers
    for line in sys.stdin:
        asked = json.loads(line)
        if "epoch" not in asked:
            molecules = "file" in asked
            try:
                contender = make(
                    name, Problem(read(Path(asked["file"])), asked["batch"]) if molecules else Zoo(**asked)
                )
            except Missing as missing:
                answers.write(json.dumps({"missing": str(missing)}) + "\n")
                continue
        answers.write(json.dumps(contender(asked.get("epoch", 0))._asdict()) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
