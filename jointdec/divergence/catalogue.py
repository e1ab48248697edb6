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
        code: what to write in a program of one's own, in Keras's terms; empty where ``remedy`` says it.
    """

    meaning: str
    remedy: str
    override: str = ""
    code: str = ""


CAUSES = {
    "bad_input": Cause(
        "The batch itself holds a NaN or Inf: no loss and no optimizer can mend that.",
        "Clean the data at the row and column named; jointdec checks files of data before it trains.",
        code="Clean the rows: keep = np.isfinite(x).all(axis=1); x, y = x[keep], y[keep]",
    ),
    "unnormalised_probabilities": Cause(
        "A loss that takes probabilities was given raw outputs: it divides them by their sum, and the sum is 0 or so "
        "near to it that the quotient or its gradient leaves the finite numbers.",
        "loss=split: a cross-entropy with from_logits=True; or a softmax as the head's last layer.",
        "loss=split",
        code="keras.losses.CategoricalCrossentropy(from_logits=True), or activation='softmax' in the last layer",
    ),
    "labels_not_a_distribution": Cause(
        "Labels that are negative or do not sum to 1 leave the cross-entropy without a lower bound: the optimizer "
        "follows it down until something overflows.",
        "Begin again with class indices, or distributions over the classes; or with loss=mse where the labels are real "
        "numbers.",
    ),
    "learning_rate": Cause(
        "The steps were too long: the weights are large beside the initial ones because of them, and the network "
        "multiplies that from layer to layer. (A step of Adam moves every weight by about the learning rate, one of "
        "plain gradient descent by the rate times the gradient.)",
        "Begin again with optimizer.learning_rate smaller by powers of ten, until one step is small beside the initial "
        "weights; the weights of this run are spoilt.",
        code="Begin again with a smaller rate, as keras.optimizers.Adam(1e-4), or with clipnorm=1.0",
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
        code='keras.mixed_precision.set_dtype_policy("mixed_bfloat16"), or dtype="float32" for this layer',
    ),
    "weight_overflow": Cause(
        "A weight is infinite or far beyond what training at this rate could have made of its initial value.",
        "Look at where the weights came from; go back to an earlier state of the run.",
    ),
    "loss_weight": Cause(
        "With loss weights of 1 the same step is finite: a weight multiplies the loss or its gradient out of range.",
        "Smaller loss.weights; only their ratio tells the heads apart.",
        code="model.compile(..., loss_weights=...) with weights near 1; only their ratio tells the heads apart",
    ),
    "epsilon": Cause(
        "Adam divided by 0: a weight's second moment is 0, since its gradients were all 0 or too small to square, and "
        "epsilon is 0 as well.",
        "optimizer.epsilon=1e-8.",
        "optimizer.epsilon=1e-8",
        code="keras.optimizers.Adam(epsilon=1e-7)",
    ),
    "corrupted_state": Cause(
        "A weight or a moment of Adam was NaN, a moment was Inf, or a second moment negative before the step: no step "
        "of this loop leaves it so.",
        "Look at where the state came from (a checkpoint, other code, memory); go back to an earlier one.",
        code="Go back to weights that are finite: model.load_weights(...), and a new optimizer by model.compile(...)",
    ),
    "bad_initial_value": Cause(
        "A weight was NaN or Inf before the first update.",
        "Look at the initializer, or at the file that the weights came from: "
        "[np.isfinite(w).all() for w in model.get_weights()]",
    ),
    "labels_outside_classes": Cause(
        "A label names a class that the output does not have.",
        "Number the classes from 0 on, and give the last Dense layer max(y) + 1 units",
    ),
    "regulariser": Cause(
        "The penalty on the weights left the range of the number format.",
        "A smaller factor: kernel_regularizer=keras.regularizers.L2(1e-4)",
    ),
    "empty_mean": Cause(
        "A mean, or an extreme value, of nothing.",
        "ops.sum(values) / ops.maximum(count, 1): a batch without any gives 0",
    ),
    "gradient_at_zero": Cause(
        "A root or a norm is finite at 0, but its gradient is not.",
        "ops.sqrt(ops.sum(ops.square(x), -1) + 1e-12), or ops.sqrt(ops.maximum(square, 1e-12))",
    ),
    "masked_gradient": Cause(
        "`where` chose another value, but the gradient still goes through the one that was not finite: 0 times Inf is "
        "NaN.",
        "Mask the input as well: safe = ops.where(mask, x, 1.0); ops.where(mask, ops.log(safe), 0.0)",
    ),
    "log_of_nonpositive": Cause(
        "The logarithm of 0 or of a negative number.",
        "ops.log(ops.maximum(x, 1e-7)), or from logits: ops.log_softmax(logits)",
    ),
    "sqrt_of_negative": Cause(
        "The root of a negative number.",
        "ops.sqrt(ops.maximum(x, 0.0))",
    ),
    "zero_norm": Cause(
        "A division by the norm of a vector of zeros.",
        "x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), -1, keepdims=True), 1e-12)), which keras.ops.normalize does",
    ),
    "empty_sum": Cause(
        "A division by a sum that is 0, as the number of elements in an empty mask.",
        "ops.sum(values * mask) / ops.maximum(ops.sum(mask), 1)",
    ),
    "division_by_zero": Cause(
        "A division by 0.",
        "ops.divide_no_nan(a, b), or a / ops.maximum(b, 1e-7)",
    ),
    "fractional_power": Cause(
        "A negative number to a power that is no whole number, or 0 to a negative one.",
        "ops.power(ops.maximum(x, 1e-7), p), or ops.abs(x) if the sign does not matter",
    ),
    "outside_domain": Cause(
        "An inverse function outside of its domain, or its gradient at the edge.",
        "ops.arccos(ops.clip(x, -1 + 1e-6, 1 - 1e-6))",
    ),
    "masked_softmax": Cause(
        "A softmax over values that are all -Inf: everything was masked out.",
        "Mask with a large finite number, ops.where(mask, scores, -1e9), or leave rows without any element out",
    ),
    "inf_minus_inf": Cause(
        "Inf minus Inf is NaN.",
        "Keep both sides finite: mask before the subtraction, with -1e9 instead of -inf",
    ),
    "zero_times_inf": Cause(
        "0 times Inf is NaN.",
        "Choose instead of multiplying: ops.where(mask, values, 0.0) with values that are finite",
    ),
    "singular_matrix": Cause(
        "A matrix that is singular, or not positive definite.",
        "matrix + 1e-6 * ops.eye(n), and float64 for this part",
    ),
    "update_overflow": Cause(
        "The update itself is too long: the rate times the gradient leaves the range of the number format.",
        "A smaller learning_rate, or keras.optimizers.SGD(..., clipnorm=1.0)",
    ),
    "exponential_overflow": Cause(
        "An exponential of a number that is too large: float32 ends at exp(88.7).",
        "ops.exp(ops.minimum(x, 80.0)); or stay with the logarithm: keras.losses.Poisson on softplus, log_softmax for "
        "probabilities",
    ),
    "overflow": Cause(
        "A product or sum of finite numbers left the range of the number format.",
        "Scale inputs and labels to about 1 (keras.layers.Normalization), or use float64 for this part",
    ),
    "untraced": Cause(
        "The step is known, and what of it is not finite, but not which tensor was first: operation by operation every "
        "number of it is finite, as where XLA adds up in another order.",
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
