"""One case in a process of its own, since op determinism holds for a whole process: prints a CSV row a measurement.

python case.py molecules float64 2000
python case.py gaussian float64 2000 --determinism
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from contenders import BATCH, CONTENDERS, compose_config, make

from jointdec.problems.molecules.architecture import Weights
from jointdec.problems.molecules.load import load

RECORDED = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1400, 2000)


def main(data: str, precision: str, steps: int, determinism: bool) -> None:
    """Train all contenders, the first one for reference."""
    if determinism:
        tf.config.experimental.enable_op_determinism()
    dataset = load(compose_config(f"data={data}", *(["data.n_train=4000"] if data == "gaussian" else [])).data)
    names = [name for name in CONTENDERS if data == "gaussian" or name != "true gradient"]
    out, reference = csv.writer(sys.stdout), {}
    for name in names:
        formulation, advance = make(name, data, precision, dataset)
        done = 0
        for epoch, first, stop in _segments(len(dataset.train) // BATCH, steps):
            advance(epoch, first, stop)
            done += stop - first
            if done not in RECORDED:
                continue
            weights = formulation.get_weights()
            reference.setdefault(done, weights)
            out.writerow([name, done, *_apart(weights, reference[done])])
        sys.stdout.flush()


def _segments(per_epoch: int, steps: int) -> Iterator[tuple[int, int, int]]:
    """An epoch and steps of it, cut at the recorded steps and at the ends of epochs."""
    cuts = sorted({*RECORDED, *range(per_epoch, steps + 1, per_epoch)} & set(range(steps + 1)))
    for start, end in zip([0, *cuts], cuts, strict=False):
        epoch, first = divmod(start, per_epoch)
        yield epoch, first, first + end - start


def _apart(weights: Weights, reference: Weights) -> tuple[float, float]:
    """The largest difference of a weight, and the same relative to the largest weight."""
    apart = max(float(np.abs(value - reference[name]).max()) for name, value in weights.items())
    return apart, apart / max(float(np.abs(value).max()) for value in reference.values())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), "--determinism" in sys.argv)
