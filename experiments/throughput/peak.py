"""The most memory that this process had, in MiB, after it has done what its argument says.

python peak.py tensorflow     imported TensorFlow, nothing more
python peak.py qm9            trained an epoch on QM9, in batches of 300
python peak.py 2000           the same on so many molecules of the sample, repeated
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

BATCH = 300


def main(what: str) -> None:
    """Do it and print the number."""
    if what == "tensorflow":
        import tensorflow  # noqa: F401 (its memory is what is measured)
    else:
        train(what)
    print("FINISHED", peak_mib(), flush=True)


def train(what: str) -> None:
    """One epoch and its validation."""
    from problem import Problem, compose_config, repeated

    from jointdec.objective.formulation import make_formulation
    from jointdec.problems.molecules.load import load
    from jointdec.training.problem_loop import CompiledTraining

    config = compose_config(f"data={'qm9' if what == 'qm9' else 'molecules'}", f"training.batch_size={BATCH}")
    dataset = load(config.data)
    if what != "qm9":
        dataset = Problem(repeated(dataset.train, int(what)), BATCH).dataset()
    CompiledTraining(config, make_formulation(config), dataset).run_epoch(0)


def peak_mib() -> float:
    """The process's high-water mark of resident memory."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's ru_maxrss also counts what the parent had when it forked
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


if __name__ == "__main__":
    main(sys.argv[1])
