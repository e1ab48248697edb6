"""What a person brings: data, a model, and for each head its kind of label, its loss and its metrics.

    problem = jointdec.Problem(
        data=data,      # (**keys) -> x, y or x, y, weights
        model=model,    # (**keys) -> keras.Model with an output named after each head
        heads={"price": jointdec.Head("real", loss="mse"), "kind": jointdec.Head("classes")},
    )

The keyword arguments of the two functions are the keys ``data.*`` and ``model.*`` of the configuration, see
`jointdec.problems.keys`. ``python -m jointdec.run problem=house.py model.width=64`` then trains it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from jointdec.errors import BadProblem, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from jointdec.config import Config, DataConfig, OptimizerConfig
    from jointdec.dataset import Dataset, Progress
    from jointdec.divergence.record import Divergence
    from jointdec.divergence.runaway import Runaway
    from jointdec.objective.formulation import Formulation
    from jointdec.training.loop import Loop
    from jointdec.training.state import State
    from jointdec.training.step import Step

KINDS = ("classes", "distribution", "real", "multilabel", "counts")
OBJECTIVES = ("joint", "split", "zero_plus_total", "mse")
TAKEN = ("loss", "grad_norm", "exact")  # names of curves that are no head's

DEFAULT_METRIC = {
    "classes": "accuracy",
    "distribution": "accuracy",
    "real": "mae",
    "multilabel": "accuracy",
    "counts": "mae",
}
Metric = str | Callable[..., Any]


@dataclass(frozen=True)
class Head:
    """One output of the network.

    Attributes:
        kind: what its labels are, and so what its outputs mean. With B examples and any number of places:

            - ``classes``: whole numbers from 0, (B, *places); outputs are logits, (B, *places, C);
            - ``distribution``: shares of the classes, (B, *places, C), or whole numbers as for ``classes``, of which
              distributions are made; outputs are logits, (B, *places, C);
            - ``real``: any numbers; outputs are numbers of the same shape;
            - ``multilabel``: 0, 1 or shares between; outputs are logits of the same shape;
            - ``counts``: 0, 1, 2, ...; outputs are logarithms of rates, of the same shape.
        loss: a name of Keras's or a function ``(y, y_pred)`` that gives one value a place, (B, *places) or (B,): the
            mean over what is there, and weights, are not its business. Cross-entropies by name take logits, other names
            are given predictions (probabilities, rates), functions what the model puts out. By default the
            cross-entropy, the squared error of ``real``, for ``counts`` Poisson's rate - y log(rate).
        metrics: names of Keras's, which are given predictions (probabilities, rates), or functions ``(y, y_pred)`` as
            a loss. By default the accuracy, of ``real`` and ``counts`` the mean absolute error.
        weight: of its loss in the total, where ``loss.weights.HEAD`` does not say another.
    """

    kind: str
    loss: str | Callable[..., Any] | None = None
    metrics: Sequence[Metric] | None = None
    weight: float = 1.0

    @property
    def measured(self) -> Sequence[Metric]:
        """Its metrics, the default of its kind included."""
        return (DEFAULT_METRIC[self.kind],) if self.metrics is None else self.metrics

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadProblem(
                f"A head's kind is {self.kind!r}{did_you_mean(str(self.kind), list(KINDS))}, but must be one of "
                f"{', '.join(KINDS)}."
            )
        if isinstance(self.metrics, str) or callable(self.metrics):
            raise BadProblem(f"A head's metrics are {self.metrics!r}, but must be a list, as ['accuracy'].")


@dataclass(frozen=True, eq=False)
class Problem:
    """Data, a model and its heads; see the module.

    Attributes:
        data: a function that gives x and y, or x, y and weights, or a `jointdec.dataset.Dataset`. x is any tree of
            arrays, y a dict of labels by head, weights a dict of some heads' weights, 0 where a label is missing.
        model: a function that gives a Keras model; it need not be compiled.
        heads: by the names of the model's outputs.
        terms: losses that look at several heads: name -> ``(y, y_pred)``, both dicts by head, to a value an example,
            (B,). Each has a weight, ``loss.terms.NAME``. An example counts only if no label that the term reads is
            missing.
        metrics: over all heads: name -> a function as a term's, whose mean is the metric; ``"all_right"`` is the share
            of examples in which every head of classes is right in all places; one with a missing label does not count.
        judge: ``(model, dataset, folder)``, called at the end of a run that finished: what it returns, a dict of
            numbers or nothing, is recorded as ``judge/NAME``, and every file that it writes into the folder is kept.
    """

    data: Callable[..., Any]
    model: Callable[..., Any]
    heads: Mapping[str, Head]
    terms: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    judge: Callable[..., Any] | None = None

    name: str = field(default="", init=False)  # given by jointdec.problems.find, as the next two
    file: Path | None = field(default=None, init=False)
    digest: str = field(default="", init=False)

    formulations: ClassVar[Mapping[str, str]] = {}  # besides OBJECTIVES: name -> module:class
    live: ClassVar[Sequence[str]] = ()  # keys of the model that a compiled program reads anew
    not_compiled: ClassVar[Mapping[str, Any]] = {}  # keys of the model that no program depends on, and a value for each

    def __post_init__(self) -> None:
        for what in ("data", "model"):
            if not callable(getattr(self, what)):
                raise BadProblem(f"{what} is {getattr(self, what)!r}, but must be a function.")
        if not isinstance(self.heads, Mapping) or not self.heads:
            raise BadProblem("heads must be a dict with at least one head, as {'price': jointdec.Head('real')}.")
        for name, head in self.heads.items():
            if not isinstance(head, Head):
                raise BadProblem(f"heads[{name!r}] is {head!r}, but must be a jointdec.Head, as jointdec.Head('real').")
        self._check_names()

    def _check_names(self) -> None:
        seen: dict[str, str] = {}
        for what in ("heads", "terms", "metrics"):
            for name, value in getattr(self, what).items():
                if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z]\w*", name):
                    raise BadProblem(
                        f"{what} has {name!r}, but a name is made of letters, digits and _, and begins with a letter: "
                        "it becomes a key and a curve."
                    )
                if what != "metrics" and name in TAKEN:
                    raise BadProblem(f"{what} has {name!r}, a name of jointdec's own: choose another.")
                if name in seen:
                    raise BadProblem(f"{name!r} is in {seen[name]} and in {what}: each needs a name of its own.")
                seen[name] = what
                if what == "terms" and not callable(value):
                    raise BadProblem(f"terms[{name!r}] is {value!r}, but must be a function of (y, y_pred).")
                if what == "metrics" and not callable(value) and value != "all_right":
                    raise BadProblem(f"metrics[{name!r}] is {value!r}, but must be a function, or 'all_right'.")

    @property
    def where(self) -> str:
        """What people know it by: its file, or its name."""
        return self.file.name if self.file else self.name

    @property
    def metric_names(self) -> Sequence[str]:
        """The names of the metrics of heads and of those over all, as they are recorded behind ``val/``."""
        names = []
        for name, head in self.heads.items():
            for metric in head.measured:
                word = getattr(metric, "__name__", getattr(metric, "name", "metric"))
                names.append(f"{name}_{metric if isinstance(metric, str) else word}")
        return [*names, *self.metrics]

    @property
    def final_metrics(self) -> Sequence[str]:
        """What `finish` may give, as far as it is known before."""
        return ()

    def check_objective(self, objective: Sequence[str], dataset: Dataset) -> None:
        """Refuse an objective that these data cannot have, with a `UserError`."""

    @property
    def never_negative(self) -> Sequence[str]:
        """The heads whose loss cannot be below zero with labels of their kind."""
        return [name for name, head in self.heads.items() if head.loss is None and head.kind != "counts"]

    def schemas(self, group: str) -> Mapping[str, type[Any]]:
        """The options of the group ``data`` or ``model`` by name, each a dataclass of its keys."""
        from jointdec.problems.keys import schema_of

        return {self.name: schema_of(getattr(self, group), group, self.where)}

    def groups(self) -> Mapping[str, Any] | None:
        """The values that the groups ``data`` and ``model`` have by default; None if conf/ has options for them."""
        from jointdec.problems.keys import defaults_of

        return {g: {"name": self.name, **defaults_of(self.schemas(g)[self.name])} for g in ("data", "model")}

    def check(self, config: Config) -> None:
        """Refuse what does not go together in a configuration, with a `UserError`."""

    def load(self, config: DataConfig, progress: Progress) -> Dataset:
        """The data for these keys; `UserError` where they cannot be used."""
        from jointdec.problems.loading import load_own

        return load_own(self, config, progress)

    def build(self, config: Config, live: Mapping[str, Any]) -> keras.Model:
        """The model for these keys, with the initial weights of the seed.

        Args:
            config: its group ``model``, ``seed`` and ``training.precision`` count.
            live: a variable for each key of ``live``, that the model is to read.
        """
        from jointdec.problems.building import build_own

        return build_own(self, config)

    def variables(self, model: keras.Model, config: Config) -> Mapping[str, Any]:
        """The model's trainable variables by path, in the order in which people read them."""
        return {variable.path: variable for variable in model.trainable_variables}

    def initial_weights(self, config: Config) -> Mapping[str, Any]:
        """The initial values of all variables of the model by path."""
        return {variable.path: variable.numpy() for variable in self.build(config, {}).variables}

    def trained_model(self, formulation: Formulation, config: Config) -> keras.Model:
        """What was trained, as a Keras model that loads without jointdec."""
        return formulation.trained_model()

    def training(self, config: Config, formulation: Formulation, dataset: Dataset) -> Loop | None:
        """A loop of the problem's own for its own formulations; None for those of jointdec's."""
        return None

    def native_step(
        self, formulation: Formulation, config: Config, prepare: Callable[[Any], Any]
    ) -> tuple[Step, Callable[[OptimizerConfig], None]]:
        """The step of a formulation without Keras, and what gives its optimizer other live values."""
        raise NotImplementedError

    def investigate(self, config: Config, dataset: Dataset, state: State, step: int) -> Divergence:
        """What is known of a step that diverged, from the state that it started from."""
        from jointdec.divergence.step_again import take_again

        return take_again(config, dataset, state, step)

    def investigate_runaway(self, config: Config, dataset: Dataset, state: State, runaway: Runaway) -> Divergence:
        """What is known of a loss that ran away while finite; the state is that after the epoch."""
        from jointdec.divergence.step_again import of_runaway

        return of_runaway(config, dataset, runaway)

    def finish(self, formulation: Formulation, dataset: Dataset, seed: int, folder: Path) -> Mapping[str, float]:
        """Judge what was trained, at the end of a run that finished; the metrics by their names in the record."""
        from jointdec.problems.building import judge_own

        return judge_own(self, formulation, dataset, folder) if self.judge else {}
