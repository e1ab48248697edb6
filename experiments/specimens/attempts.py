"""The source's attempts in its order: what to call them, the code, and the error of 2019."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

from jointdec.losses.joint import JointModel
from jointdec.losses.mse import MeanSquaredError
from jointdec.losses.specimens import Answer, JointIndexed, SplitIndexed
from jointdec.losses.split import Split
from jointdec.losses.tf1_graph import Tf1Graph
from jointdec.losses.tf_native import TfNative
from jointdec.losses.zero_plus_total import ZeroPlusTotal
from jointdec.models.specimens import dot_gram


class Attempt(NamedTuple):
    """``name`` of the configuration experiment=source/name; what people search for; the code; 2019's error; prose."""

    name: str
    symptom: str
    code: Callable[..., Any]
    error: str = ""
    prose: str = ""


class Result(NamedTuple):
    """An attempt's summary.json, and its validation metrics after each epoch."""

    summary: dict[str, Any]
    curves: dict[str, list[float]]


ATTEMPTS = (
    Attempt(
        "joint_indexed",
        "`input must be at least 2-dim, received shape: [9]`",
        JointIndexed.compile_model,
        "tensorflow.python.framework.errors_impl.InvalidArgumentError: "
        "input must be at least 2-dim, received shape: [9]\n"
        "     [[{{node loss/output_1_loss/MatrixBandPart_1}}]]",
    ),
    Attempt(
        "split_indexed",
        "Nothing fails, but it learns from two molecules of a batch",
        SplitIndexed.compile_model,
    ),
    Attempt(
        "two_tower_dot",
        "`Matrix size-incompatible: In[0]: [20,25920], In[1]: [324,324]`",
        dot_gram,
        "tensorflow.python.framework.errors_impl.InvalidArgumentError: Matrix size-incompatible: In[0]: [20,25920], "
        "In[1]: [324,324]\n     [[{{node dense_9/BiasAdd}}]]",
    ),
    Attempt(
        "mse",
        "Is it the model or the loss?",
        MeanSquaredError.compile_model,
        prose="The probe: with the right model both heads learn under a squared error, so the model is not at fault.",
    ),
    Attempt("answer", "The loss gets small or nan, and head 1 does not learn", Answer.compile_model),
    Attempt(
        "split",
        "One loss a head, and weights",
        Split.compile_model,
        prose="The repair. `node_cross_entropy` and `edge_cross_entropy` take logits and return (B, 9) and (B, 9, 9); "
        "Keras takes the means. The asker's version closed over `model.targets[0]`, which Keras 3 no longer has; "
        "nothing needs it, since a head's own callable is given that head's labels.",
    ),
    Attempt(
        "zero_plus_total",
        "One loss returns 0, the other the whole cost",
        ZeroPlusTotal.compile_model,
        prose="It works, and takes the very path of `split`. It depends on Keras calling the losses in the order of "
        "the dictionary, so prefer `joint` where a cost needs both heads.",
    ),
    Attempt(
        "joint",
        "ONE loss that sees both heads",
        JointModel.compute_loss,
        prose="What was wanted: `compute_loss` of a `keras.Model` subclass is given labels and outputs of all heads, "
        "so any function of them can stand there. `compile()` is then called without a loss.",
    ),
    Attempt(
        "tf_native",
        "The same in TensorFlow without Keras",
        TfNative.loss,
        prose="With `tf.GradientTape` and an optimizer around it. It takes the path of `joint` and `split`.",
    ),
    Attempt(
        "tf1_graph",
        "The same as it was written for TensorFlow 1",
        Tf1Graph._build,
        prose="It still runs, on `tf.compat.v1`. It takes the same path; it does not converge faster than Keras's.",
    ),
)


def code_of(attempt: Attempt) -> str:
    """The body of the function that makes the attempt, without its docstring and without what is jointdec's own."""
    lines = textwrap.dedent(inspect.getsource(attempt.code)).splitlines()
    function = ast.parse("\n".join(lines)).body[0]
    assert isinstance(function, ast.FunctionDef)
    code = textwrap.dedent("\n".join(lines[function.body[1].lineno - 1 :]))
    for ours, plain in {
        "self.model.": "model.",
        "self.loss_weights": "loss_weights",
        "**options": "optimizer='adam'",
    }.items():
        code = code.replace(ours, plain)
    return code
