"""The arithmetic alone: what one step must multiply, at the rate at which this machine multiplies."""

from __future__ import annotations

from jointdec.problems.molecules.architecture import GRAM_WIDTH, architecture
from jointdec.problems.molecules.config import ModelConfig
from jointdec.problems.molecules.sizes import EDGE_CLASSES, NODES

MATMUL_SIZE = 2048
MATMUL_FLOPS = 2 * MATMUL_SIZE**3


def step_flops(model: ModelConfig, batch: int) -> int:
    """Floating-point operations of one training step.

    A parameter takes part in one multiply-add a molecule in the forward pass and in two in the backward pass (the
    gradients of the weights and of the inputs), so 6 operations; the Gram product X X^T likewise. The gradient of the
    first layer's input, which nobody needs, and Adam's dozen operations a parameter are about as many and not told
    apart.
    """
    parameters = sum((layer.inputs + 1) * layer.units for layer in architecture(model).layers)
    gram = EDGE_CLASSES * NODES * NODES * GRAM_WIDTH
    return 6 * batch * (parameters + gram)


def floor_ms(model: ModelConfig, batch: int, matmul_ms: float) -> float:
    """What a step would take if it were nothing but matrix products at the rate of the large one."""
    return step_flops(model, batch) / MATMUL_FLOPS * matmul_ms
