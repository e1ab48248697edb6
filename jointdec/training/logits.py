"""Cross-entropies of an output that isn't what they take: logits for probabilities, or the other way round.

Keras remembers the logits of a softmax or sigmoid as long as nothing but an Identity follows and the dtype stays. Its
cross-entropies then compute from these, whatever ``from_logits`` says, with the activation that the loss implies. So
``from_logits=True`` after a softmax is often harmless, and a sigmoid under a categorical cross-entropy is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras.src.models import Functional

from jointdec.training.outputs import Target, loss_function, loss_option

TAKES = {  # the activation that makes the probabilities which a loss takes
    keras.losses.categorical_crossentropy: "softmax",
    keras.losses.sparse_categorical_crossentropy: "softmax",
    keras.losses.categorical_focal_crossentropy: "softmax",
    keras.losses.binary_crossentropy: "sigmoid",
    keras.losses.binary_focal_crossentropy: "sigmoid",
}
FOCAL = (
    keras.losses.categorical_focal_crossentropy,
    keras.losses.binary_focal_crossentropy,
)  # use no remembered logits
ACTIVATIONS = {
    keras.activations.softmax: "softmax",
    keras.activations.sigmoid: "sigmoid",
    keras.activations.linear: "linear",
}
ARRANGING = (keras.layers.Reshape, keras.layers.Flatten, keras.layers.Permute)  # change no number


def logit_warnings(targets: Sequence[Target]) -> Iterator[str]:
    """A sentence for each target whose loss does not get what it takes."""
    for target in targets:
        function = loss_function(target.loss)
        if function not in TAKES or target.output.tensor is None:
            continue
        name, loss, takes = target.output.name, target.loss.name, TAKES[function]
        activation, remembered = _last_activation(target.output.tensor)
        remembered = remembered and function not in FOCAL and target.output.spec.dtype == target.loss.dtype
        from_logits = bool(loss_option(target.loss, "from_logits"))
        if activation == "linear" and not from_logits:
            yield (
                f"{loss} takes the probabilities of a {takes}, but the output {name!r} ends without an activation: "
                f"compile it with from_logits=True, or end it in a {takes}."
            )
        elif activation in ("softmax", "sigmoid") and remembered and activation != takes:
            yield (
                f"The output {name!r} ends in a {activation}, but Keras computes {loss} from its logits by a {takes}: "
                "what is trained is not what the model returns."
            )
        elif activation in ("softmax", "sigmoid") and from_logits and not remembered:
            yield (
                f"{loss} takes logits, but the output {name!r} ends in a {activation}, and Keras takes its "
                f"probabilities for logits: compile it with from_logits=False, or leave the {activation} out."
            )


def _last_activation(tensor: Any) -> tuple[str, bool]:  # noqa: ANN401 (KerasTensor of a graph)
    """(softmax, sigmoid, linear, or empty if unknown; whether Keras still remembers its logits)."""
    remembered = True
    while True:
        operation, node, index = tensor._keras_history
        inner = operation._functional if isinstance(operation, keras.Sequential) else operation
        if isinstance(inner, Functional):
            tensor = inner.outputs[index]
        elif type(operation) in ARRANGING or _changes_nothing(operation):
            remembered = remembered and type(operation) not in ARRANGING
            tensor = operation._inbound_nodes[node].input_tensors[0]
        else:
            return _activation(operation), remembered


def _changes_nothing(operation: Any) -> bool:  # noqa: ANN401 (a layer or an operation of keras.ops)
    kind = type(operation)
    linear = kind is keras.layers.Activation and operation.activation is keras.activations.linear
    return linear or kind is keras.layers.Identity


def _activation(operation: Any) -> str:  # noqa: ANN401 (a layer or an operation of keras.ops)
    kind = type(operation)
    if not kind.__module__.startswith("keras."):
        return ""  # a layer of the user's own does what it likes
    if kind.__name__ in ("Softmax", "Sigmoid"):
        return kind.__name__.lower()
    simple = kind.__name__ in ("Activation", "Dense", "EinsumDense") or "Conv" in kind.__name__
    return ACTIVATIONS.get(operation.activation, "") if simple and hasattr(operation, "activation") else ""
