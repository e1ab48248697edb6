"""The order of the molecules in an epoch: a function of nothing but the seed and the epoch's number.

A resumed run therefore sees the batches that it would have seen, and every formulation sees the same ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def batch_order(seed: int, epoch: int, size: int, *, reshuffle: bool = True) -> npt.NDArray[np.int32]:
    """A permutation of range(size), drawn from the counter-based generator Philox with the key (seed, epoch).

    Without ``reshuffle`` every epoch has the order of epoch 0.
    """
    key = np.array([seed, epoch if reshuffle else 0], np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key))
    return generator.permutation(size).astype(np.int32)


def steps_per_epoch(size: int, batch_size: int) -> int:
    """How many batches range(size) makes; the last one may be smaller."""
    return -(-size // batch_size)


def batch_of_step(seed: int, step: int, size: int, batch_size: int, *, reshuffle: bool = True) -> npt.NDArray[np.int32]:
    """The rows that the global step trains on, in their order, (batch_size,) or fewer."""
    epoch, within = divmod(step, steps_per_epoch(size, batch_size))
    return batch_order(seed, epoch, size, reshuffle=reshuffle)[within * batch_size : (within + 1) * batch_size]
