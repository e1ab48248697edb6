"""How fast the machine multiplies: the ground of the floor."""

from __future__ import annotations

import math
import time

import numpy as np
import tensorflow as tf
from floor import MATMUL_SIZE
from problem import Contender, Problem, Round

TIMES = 10


def matmul(problem: Problem) -> Contender:
    """Float32 products of two square matrices with TensorFlow; a "step" is one product, whatever the problem is."""
    rng = np.random.default_rng(0)
    a, b = (tf.constant(rng.standard_normal((MATMUL_SIZE, MATMUL_SIZE), np.float32)) for _ in range(2))

    def products(number: int) -> Round:
        start = time.perf_counter()
        for _ in range(TIMES):
            product = tf.matmul(a, b)
        float(product[0, 0])  # waits for the device
        return Round(1000 * (time.perf_counter() - start) / TIMES, math.nan)

    return products
