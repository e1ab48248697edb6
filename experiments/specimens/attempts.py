"""The source's attempts in its order: what to call them, the code, and the error of 2019."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

from plain import JointModel, mse, split, zero_plus_total

from jointdec.problems.molecules.dot_gram import dot_gram
from jointdec.problems.molecules.tf1_graph import Tf1Graph
from jointdec.problems.molecules.tf_native import TfNative
from jointdec.problems.molecules.wrong_losses import Answer, JointIndexed, SplitIndexed


class Attempt(NamedTuple):
    """``name`` of experiment=source/name; what people search for, most telling first; the code; 2019's error; prose."""

    name: str
    symptoms: tuple[str, ...]
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
        ("`input must be at least 2-dim, received shape: [9]`",),
        JointIndexed.compile_model,
        "tensorflow.python.framework.errors_impl.InvalidArgumentError: "
        "input must be at least 2-dim, received shape: [9]\n"
        "     [[{{node loss/output_1_loss/MatrixBandPart_1}}]]",
    ),
    Attempt(
        "split_indexed",
        ("Nothing fails, but it learns badly", "Most of a batch has no influence on the loss"),
        SplitIndexed.compile_model,
    ),
    Attempt(
        "two_tower_dot",
        (
            "`Matrix size-incompatible: In[0]: [20,25920], In[1]: [324,324]`",
            "`expected axis -1 of input shape to have value 324`",
        ),
        dot_gram,
        "tensorflow.python.framework.errors_impl.InvalidArgumentError: Matrix size-incompatible: In[0]: [20,25920], "
        "In[1]: [324,324]\n     [[{{node dense_9/BiasAdd}}]]",
    ),
    Attempt(
        "mse",
        ("Is it the model or the loss?",),
        mse,
        prose="The probe: with the right model both heads learn under a squared error, so the model is not at fault.",
    ),
    Attempt(
        "answer",
        ("Nothing fails, but one head does not learn", "The loss becomes nan"),
        Answer.compile_model,
    ),
    Attempt(
        "split",
        ("How to write one loss a head, and weights",),
        split,
        prose="The repair. `node_cross_entropy` and `edge_cross_entropy` take logits and return (B, 9) and (B, 9, 9); "
        "Keras takes the means. The asker's version closed over `model.targets[0]`, which Keras 3 no longer has; "
        "nothing needs it, since a head's own callable is given that head's labels.",
    ),
    Attempt(
        "zero_plus_total",
        ("Can one loss return 0 and the other the whole cost?",),
        zero_plus_total,
        prose="It works, and takes the very path of `split`. It depends on Keras calling the losses in the order of "
        "the dictionary, so prefer `joint` where a cost needs both heads.",
    ),
    Attempt(
        "joint",
        ("How to write ONE loss that sees both heads",),
        JointModel.compute_loss,
        prose="What was wanted: `compute_loss` of a `keras.Model` subclass is given labels and outputs of all heads, "
        "so any function of them can stand there. `compile()` is then called without a loss.",
    ),
    Attempt(
        "tf_native",
        ("The same in TensorFlow without Keras",),
        TfNative.loss,
        prose="With `tf.GradientTape` and an optimizer around it. It takes the path of `joint` and `split`.",
    ),
    Attempt(
        "tf1_graph",
        ("The same as it was written for TensorFlow 1",),
        Tf1Graph._build,
        prose="It still runs, on `tf.compat.v1`. It takes the same path but for rounding, "
        "and converges no faster than Keras.",
    ),
)

PLAIN = {  # what is jointdec's own, and what a reader writes in its place
    "{head: live.variable for head, live in self.loss_weights.items()}": '{"nodes": 1.0, "edges": 2.0}',
    "self.model.": "model.",
    "**options": 'optimizer="adam"',
}
HOUSEKEEPING = {"known", "self._values", "self._assignments"}  # of the TF1 program: how jointdec sets its weights


def code_of(attempt: Attempt) -> str:
    """The body of the function that makes the attempt, without its docstring and in a reader's terms.

    Of `compute_loss`, which is nothing without its signature, the whole method in its class.
    """
    text = textwrap.dedent(inspect.getsource(attempt.code))
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    statements = [node for node in function.body if not _is_docstring(node) and not _is_housekeeping(node)]
    body = "\n".join(text.splitlines()[statements[0].lineno - 1 : statements[-1].end_lineno])
    if attempt.code is JointModel.compute_loss:
        names = ", ".join(f"{argument.arg}=None" for argument in function.args.args[1:])
        signature = f"    def {function.name}(self, {names}):"
        body = f"class {JointModel.__name__}(keras.Model):\n{signature}\n{textwrap.indent(body, '    ')}"
        body += '\n\n\nmodel = JointModel(inputs, {"nodes": nodes, "edges": edges})\nmodel.compile(optimizer="adam")'
    code = textwrap.dedent(body)
    for ours, plain in PLAIN.items():
        code = code.replace(ours, plain)
    return _spaced(code)


def _spaced(code: str) -> str:
    """Two empty lines around a function, as ruff wants it in Markdown, too."""
    code = re.sub(r"\n\n(?=def )", "\n\n\n", code)
    return re.sub(r"(?m)^( .*)\n\n(?=[^\s#d])", r"\1\n\n\n", code)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_housekeeping(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in HOUSEKEEPING
