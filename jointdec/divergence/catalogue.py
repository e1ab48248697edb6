"""The causes of a divergence that jointdec knows; the problem says by which evidence it names one."""

from __future__ import annotations

from typing import NamedTuple


class Cause(NamedTuple):
    """A cause.

    Attributes:
        meaning: what it is.
        remedy: what to try.
        override: overrides that try it on the step that diverged, with ``jointdec.replay``; empty where the weights
            or the batch are spoilt by then, so that no remedy can help that step.
    """

    meaning: str
    remedy: str
    override: str = ""


CAUSES = {
    "bad_input": Cause(
        "The batch itself holds a NaN or Inf: no loss and no optimizer can mend that.",
        "Clean the data at the row and column named; jointdec checks files of data before it trains.",
    ),
    "unnormalised_probabilities": Cause(
        "A loss that takes probabilities was given raw outputs: it divides them by their sum, and the sum is 0 or so "
        "near to it that the quotient or its gradient leaves the finite numbers.",
        "loss=split: a cross-entropy with from_logits=True; or a softmax as the head's last layer.",
        "loss=split",
    ),
    "labels_not_a_distribution": Cause(
        "Labels that are negative or do not sum to 1 leave the cross-entropy without a lower bound: the optimizer "
        "follows it down until something overflows.",
        "Begin again with class indices, or distributions over the classes; or with loss=mse where the labels are real "
        "numbers.",
    ),
    "learning_rate": Cause(
        "The steps were too long: the weights are large beside the initial ones because of them, and the decoder "
        "multiplies that from layer to layer. (A step of Adam moves every weight by about the learning rate, one of "
        "plain gradient descent by the rate times the gradient.)",
        "Begin again with optimizer.learning_rate smaller by powers of ten, until one step is small beside the initial "
        "weights; the weights of this run are spoilt.",
    ),
    "activation_overflow": Cause(
        "An activation left the range of its number format, from finite inputs and weights of ordinary size.",
        "A smaller model.alpha (a slope far above 1 grows from layer to layer), smaller or whitened features; "
        "training.precision=float64 to see how far it goes.",
        "model.alpha=0.2",
    ),
    "low_precision_overflow": Cause(
        "A number left the range of the half precision; the same step in float32 is finite.",
        "training.precision=bfloat16, which has float32's range, or training.precision=float32.",
        "training.precision=float32",
    ),
    "weight_overflow": Cause(
        "A weight is infinite or far beyond what training at this rate could have made of its initial value.",
        "Look at where the weights came from; go back to an earlier state of the run.",
    ),
    "loss_weight": Cause(
        "With loss weights of 1 the same step is finite: a weight multiplies the loss or its gradient out of range.",
        "Smaller loss.weights; only their ratio tells the heads apart.",
    ),
    "epsilon": Cause(
        "Adam divided by 0: a weight's second moment is 0, since its gradients were all 0 or too small to square, and "
        "epsilon is 0 as well.",
        "optimizer.epsilon=1e-8.",
        "optimizer.epsilon=1e-8",
    ),
    "corrupted_state": Cause(
        "A weight or a moment of Adam was NaN, a moment was Inf, or a second moment negative before the step: no step "
        "of this loop leaves it so.",
        "Look at where the state came from (a checkpoint, other code, memory); go back to an earlier one.",
    ),
    "untraced": Cause(
        "The step is known, and what of it is not finite, but not which tensor was first: only the molecules' steps "
        "are taken again tensor by tensor.",
        "Look at what in the model, its loss and the rows of this batch can give a NaN or Inf, as a root, a logarithm "
        "or a quotient of 0; see whether double precision helps.",
        "training.precision=float64",
    ),
    "unknown": Cause(
        "The evidence fits none of the causes that jointdec knows.",
        "Read the trace: the first tensor that is not finite, and how the numbers before it grew. "
        "Try the step in double precision.",
        "training.precision=float64",
    ),
}
