"""The typed configuration: what Hydra composes is checked here, before TensorFlow is imported.

Each group has one dataclass per option that needs its own fields; the option's ``name`` picks it. The YAML
files in ``conf/`` hold the values, the dataclasses hold types and limits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jointdec.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from jointdec.problem import Problem


@dataclass(frozen=True)
class Limits:
    """What a value, or each item of a list, must keep to besides its type."""

    at_least: float | None = None
    above: float | None = None
    one_of: tuple[str | bool, ...] = ()

    def problem(self, value: Any) -> str | None:  # noqa: ANN401 (a scalar of the annotated type)
        """What the value must be and is not."""
        if self.one_of and value not in self.one_of:
            return "one of " + ", ".join(str(choice).lower() for choice in self.one_of)
        if self.at_least is not None and value < self.at_least:
            return f"at least {self.at_least}"
        if self.above is not None and value <= self.above:
            return f"above {self.above}"
        return None


@dataclass
class DataConfig:
    """What every data source has."""

    name: str


@dataclass
class SpecimenConfig:
    """What is wrong with a loss or a model that is kept because it is wrong.

    ``expects`` lists the findings of which at least one must come true, ``pattern`` is a regular expression that an
    expected error's text matches; the rest tells people what the code did, what becomes of it, and what to write.
    """

    expects: Annotated[list[str], Limits(one_of=("error", "no_learning", "nan", "ignored_molecules"))]
    pattern: str
    did: str
    happens: str
    instead: str


@dataclass
class LossConfig:
    """The formulation, the weight of each head's loss in the total, and that of each term over several heads."""

    name: str
    weights: dict[str, float]
    terms: dict[str, float] = field(default_factory=dict)
    specimen: SpecimenConfig | None = None


OF_MOLECULES = ("tf_native", "tf1_graph", "joint_indexed", "split_indexed", "answer")
BETA_1, BETA_2 = 0.9, 0.999  # Adam's, in every loop


@dataclass
class OptimizerConfig:
    """What every optimizer has; ``sgd``, plain gradient descent, has no more."""

    name: str
    learning_rate: Annotated[float, Limits(above=0)]


@dataclass
class AdamConfig(OptimizerConfig):
    """Adam with epsilon outside the square root ("epsilon hat" of Kingma & Ba 2015, section 2)."""

    epsilon: Annotated[float, Limits(at_least=0)]


@dataclass
class TrainingConfig:
    """How long, in which batches and precision, by which loop, and what to do about numbers that are not finite.

    ``on_divergence`` is about a step whose losses, gradients or update hold a NaN or Inf: ``stop`` ends the run with
    the weights of before that step, ``skip`` drops the batch and goes on, at most ``max_skipped`` times in a run,
    ``continue`` trains on with what comes of it, as Keras does by itself. ``on_runaway`` is about losses that are still
    finite, see `jointdec.divergence.runaway`. ``reshuffle`` draws a new order of the examples for every epoch, as
    Keras's ``fit`` does; without it all epochs have the order of the first. Gradient norms are taken in every
    ``norms``'th step. ``jit=auto`` times the program with XLA and without, and keeps the faster one.
    """

    name: Annotated[str, Limits(one_of=("compiled", "fit"))]
    epochs: Annotated[int, Limits(at_least=1)]
    batch_size: Annotated[int, Limits(at_least=1)]
    precision: Annotated[str, Limits(one_of=("float32", "bfloat16", "float16", "float64"))]
    jit: Annotated[bool | str, Limits(one_of=("auto", True, False))]
    on_divergence: Annotated[str, Limits(one_of=("stop", "skip", "continue"))]
    max_skipped: Annotated[int, Limits(at_least=1)]
    on_runaway: Annotated[str, Limits(one_of=("warn", "stop"))]
    reshuffle: bool = True  # as in records that lack it
    norms: Annotated[int, Limits(at_least=1)] = 1  # as in records that lack it


@dataclass
class TrackingConfig:
    """Where the run is recorded; ``name=none`` records nowhere but in the output folder."""

    name: Annotated[str, Limits(one_of=("mlflow", "none"))]
    uri: str | None
    experiment: str
    log_model: bool


@dataclass
class Config:
    """A whole configuration. ``problem`` is what `jointdec.problems.find` takes; ``model`` has the problem's keys."""

    problem: str
    data: DataConfig
    model: Any
    loss: LossConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    tracking: TrackingConfig
    seed: Annotated[int, Limits(at_least=0)]

    @property
    def specimen(self) -> SpecimenConfig | None:
        """What is declared to be wrong with this configuration, if anything is."""
        specimen: SpecimenConfig | None = self.loss.specimen or getattr(self.model, "specimen", None)
        return specimen


OPTIMIZER_CONFIGS: dict[str, type[OptimizerConfig]] = {"adam": AdamConfig, "sgd": OptimizerConfig}


def conf_folder() -> Path:
    """The folder of YAML files: inside the package in a wheel, beside it in a checkout.

    Raises:
        FileNotFoundError: neither is there, so the installation is broken.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf/config.yaml in {package} or beside it: install jointdec again")


def parse(composed: DictConfig) -> Config:
    """Turn what Hydra composed into a checked `Config`.

    Raises:
        UserError: an unknown key, a value of the wrong type, one outside its limits, or what does not go together.
    """
    from jointdec.problems import find

    for f in fields(Config):
        if composed.get(f.name) is None:
            raise UserError(f"The configuration has no {f.name!r}: give it with {f.name}=..., see --help.")
        if f.name not in PLAIN and not isinstance(composed[f.name], DictConfig):
            raise UserError(f"{f.name} is {composed[f.name]!r}, but must be a group: choose one of its options.")
    problem = find(str(composed.problem))
    schemas = GROUPS | {
        "data": _option(composed, "data", problem.schemas("data")),
        "model": _option(composed, "model", problem.schemas("model")),
        "optimizer": _option(composed, "optimizer", OPTIMIZER_CONFIGS),
    }
    values: Any = OmegaConf.to_container(composed, resolve=True)
    _reject_unknown("", Config, values)
    groups = {group: typed(group, schema, values[group]) for group, schema in schemas.items()}
    plain = typed("", _Plain, {name: values[name] for name in PLAIN})
    config = Config(problem=plain.problem, seed=plain.seed, **groups)
    _check_loss(config.loss, problem)
    problem.check(config)
    return config


def _option(composed: DictConfig, group: str, options: Mapping[str, type[Any]]) -> type[Any]:
    name = str(composed[group].get("name"))
    if name not in options:
        raise UserError(f"{group}.name is {name!r}, but must be one of {', '.join(sorted(options))}.")
    return options[name]


PLAIN = ("problem", "seed")  # keys that are no groups


@dataclass
class _Plain:
    problem: str
    seed: Annotated[int, Limits(at_least=0)]


GROUPS: dict[str, type[Any]] = {  # beside data and model, whose keys are the problem's
    "loss": LossConfig,
    "optimizer": OptimizerConfig,
    "tracking": TrackingConfig,
    "training": TrainingConfig,
}


def typed(prefix: str, schema: type[Any], values: dict[str, Any]) -> Any:  # noqa: ANN401 (an instance of schema)
    """The values of a group as an instance of its dataclass.

    Raises:
        UserError: an unknown key, a value of the wrong type, or one outside its limits.
    """
    _reject_unknown(prefix, schema, values)
    try:
        typed = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), values))
    except OmegaConfBaseException as error:
        key = f"{prefix}.{error.full_key or ''}".strip(".")
        first = str(error).splitlines()[0]
        raise UserError(f"{key}: {first.rstrip('.')}; see the allowed values with --help.") from error
    _check_limits(prefix, typed)
    return typed


def leaves(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted keys, each behind the prefix, and values."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value


def _reject_unknown(prefix: str, schema: type[Any], values: dict[str, Any]) -> None:
    known = [f"{prefix}.{f.name}".strip(".") for f in fields(schema)]
    for key in (f"{prefix}.{name}".strip(".") for name in values):
        if key not in known:
            raise UserError(f"There is no key {key!r}{did_you_mean(key, known)}; known here: {', '.join(known)}.")


def _check_limits(prefix: str, typed: Any) -> None:  # noqa: ANN401 (any of the dataclasses above)
    hints = get_type_hints(type(typed), include_extras=True)
    for f in fields(typed):
        key, value = f"{prefix}.{f.name}".strip("."), getattr(typed, f.name)
        if is_dataclass(value):
            _check_limits(key, value)
            continue
        limits = next(iter(getattr(hints[f.name], "__metadata__", ())), Limits())
        for item in value if isinstance(value, list) else [value]:
            not_finite = isinstance(item, float) and not math.isfinite(item)
            problem = "a finite number" if not_finite else limits.problem(item)
            if problem:
                raise UserError(f"{key} is {item!r}, but must be {problem}; set it with {key}=...")


def _check_loss(loss: LossConfig, problem: Problem) -> None:
    from jointdec.problem import OBJECTIVES

    known = [*OBJECTIVES, *problem.formulations]
    if loss.name not in known:
        raise UserError(
            f"loss.name is {loss.name!r}, but must be one of {', '.join(known)} for problem={problem.where}"
            + (": it belongs to problem=molecules." if loss.name in OF_MOLECULES else ".")
        )
    for group, declared in (("weights", problem.heads), ("terms", problem.terms)):
        given: dict[str, float] = getattr(loss, group)
        for name, weight in given.items():
            if name not in declared:
                keys = [f"loss.{group}.{each}" for each in declared]
                key = f"loss.{group}.{name}"
                raise UserError(
                    f"There is no key {key!r}{did_you_mean(key, keys)}; known here: {', '.join(keys) or 'none'}."
                )
            problem_with = None if math.isfinite(weight) else "a finite number"
            if must := problem_with or Limits(at_least=0).problem(weight):
                key = f"loss.{group}.{name}"
                raise UserError(f"{key} is {weight!r}, but must be {must}; set it with {key}=...")
        if missing := [name for name in declared if name not in given]:
            raise UserError(f"loss.{group} lacks {missing[0]!r}: give loss.{group}.{missing[0]}=...")
