"""The problem that jointdec began with: decode a molecule's features into its atoms and its bonds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jointdec.errors import UserError
from jointdec.problem import Head, Problem

if TYPE_CHECKING:
    import keras

    from jointdec.config import Config, DataConfig, OptimizerConfig
    from jointdec.dataset import Dataset, Progress
    from jointdec.divergence.record import Divergence
    from jointdec.divergence.runaway import Runaway
    from jointdec.objective.formulation import Formulation
    from jointdec.training.loop import Loop
    from jointdec.training.state import State
    from jointdec.training.step import Step

HERE = "jointdec.problems.molecules"
WITHOUT_KERAS = ("tf_native", "tf1_graph")


def _nodes(y: Any, y_pred: Any) -> Any:  # noqa: ANN401 (a backend's tensors)
    from jointdec.problems.molecules.cross_entropies import node_cross_entropy

    return node_cross_entropy(y, y_pred)


def _edges(y: Any, y_pred: Any) -> Any:  # noqa: ANN401
    from jointdec.problems.molecules.cross_entropies import edge_cross_entropy

    return edge_cross_entropy(y, y_pred)


def _share(name: str) -> Any:  # noqa: ANN401 (a function of both heads)
    def of(y: Any, y_pred: Any) -> Any:  # noqa: ANN401
        from jointdec.problems.molecules import reconstruction_shares

        return getattr(reconstruction_shares, name)(y, y_pred)

    return of


def _unused(**keys: Any) -> Any:  # noqa: ANN401
    raise AssertionError("Molecules has methods in place of these functions")


@dataclass(frozen=True, eq=False)
class Molecules(Problem):
    """The molecules' groups of options, native formulations, specimens and pictures."""

    formulations: ClassVar[Mapping[str, str]] = {
        "tf_native": f"{HERE}.tf_native:TfNative",
        "tf1_graph": f"{HERE}.tf1_graph:Tf1Graph",
        "joint_indexed": f"{HERE}.wrong_losses:JointIndexed",
        "split_indexed": f"{HERE}.wrong_losses:SplitIndexed",
        "answer": f"{HERE}.wrong_losses:Answer",
    }
    live: ClassVar[tuple[str, ...]] = ("alpha",)
    not_compiled: ClassVar[Mapping[str, Any]] = {"alpha": 0.0, "initializer": ""}

    def schemas(self, group: str) -> Mapping[str, type[Any]]:
        """See `Problem.schemas`."""
        from jointdec.problems.molecules.config import DATA_CONFIGS, MODELS, ModelConfig

        return DATA_CONFIGS if group == "data" else dict.fromkeys(MODELS, ModelConfig)

    def groups(self) -> None:
        """See `Problem.groups`: the options are files of conf/."""

    def check(self, config: Config) -> None:
        """See `Problem.check`."""
        loss, precision = config.loss.name, config.training.precision
        if config.training.name == "fit" and loss in WITHOUT_KERAS:
            raise UserError(
                f"training=fit is Keras's own loop and loss={loss} has no Keras in it: "
                "use training=compiled, or loss=joint or loss=split."
            )
        if config.model.specimen and loss in WITHOUT_KERAS:
            raise UserError(
                f"model={config.model.name} is a mistake written in Keras and loss={loss} has no Keras in it: "
                "use loss=joint or loss=split."
            )
        if loss == "tf1_graph" and precision not in ("float32", "float64"):
            raise UserError(
                f"training.precision is {precision!r}, but loss=tf1_graph, a program of TensorFlow 1, knows only "
                "float32 and float64: set one of them, or use loss=tf_native."
            )

    def load(self, config: DataConfig, progress: Progress) -> Dataset:
        """See `Problem.load`."""
        from jointdec.problems.molecules.load import load

        return load(config, progress)

    def build(self, config: Config, live: Mapping[str, Any]) -> keras.Model:
        """See `Problem.build`."""
        from jointdec.problems.molecules.decoder import LiveLeakyReLU, build_model

        model = build_model(
            config.model, config.training.precision, lambda **options: LiveLeakyReLU(live["alpha"], **options)
        )
        initial = self.initial_weights(config)
        for path, variable in self.variables(model, config).items():
            variable.assign(initial[path])
        return model

    def variables(self, model: keras.Model, config: Config) -> Mapping[str, Any]:
        """See `Problem.variables`: in canonical order, see `jointdec.problems.molecules.architecture`."""
        from jointdec.problems.molecules.decoder import model_variables

        return model_variables(model, config.model)

    def initial_weights(self, config: Config) -> Mapping[str, Any]:
        """See `Problem.initial_weights`."""
        from jointdec.problems.molecules.architecture import initial_weights

        return initial_weights(config.model, config.seed)

    def trained_model(self, formulation: Formulation, config: Config) -> keras.Model:
        """See `Problem.trained_model`; alpha is a constant in it."""
        from jointdec.problems.molecules.decoder import stock_model

        return stock_model(config.model, config.training.precision, formulation.get_weights())

    def training(self, config: Config, formulation: Formulation, dataset: Dataset) -> Loop | None:
        """See `Problem.training`."""
        if config.loss.name != "tf1_graph":
            return None
        from jointdec.problems.molecules.session import SessionTraining
        from jointdec.problems.molecules.tf1_graph import Tf1Graph

        assert isinstance(formulation, Tf1Graph)
        return SessionTraining(config, formulation, dataset)

    def native_step(
        self, formulation: Formulation, config: Config, prepare: Callable[[Any], Any]
    ) -> tuple[Step, Callable[[OptimizerConfig], None]]:
        """See `Problem.native_step`."""
        from jointdec.problems.molecules.native_step import NativeStep
        from jointdec.problems.molecules.tf_native import TfNative

        assert isinstance(formulation, TfNative)
        step = NativeStep(formulation, config, prepare)
        return step, step.optimizer.set_live

    @property
    def final_metrics(self) -> Sequence[str]:
        """See `Problem.final_metrics`."""
        shares = ("validity", "uniqueness", "novelty", "connected", "connected_validity")
        return [f"generate/{name}" for name in shares]

    def check_objective(self, objective: Sequence[str], dataset: Dataset) -> None:
        """See `Problem.check_objective`: only molecules are generated."""
        asked = [name for name in objective if name in self.final_metrics]
        if asked and not getattr(dataset, "is_molecules", False):
            raise UserError(f"sweep.objective is {asked[0]}, but data={dataset.name} has no molecules to generate.")

    @property
    def never_negative(self) -> Sequence[str]:
        """See `Problem.never_negative`: cross-entropies."""
        return tuple(self.heads)

    def investigate(self, config: Config, dataset: Dataset, state: State, step: int) -> Divergence:
        """See `Problem.investigate`: tensor by tensor, with the cause."""
        from jointdec.problems.molecules.forensics import investigate

        return investigate(config, dataset, state, step)

    def investigate_runaway(self, config: Config, dataset: Dataset, state: State, runaway: Runaway) -> Divergence:
        """See `Problem.investigate_runaway`."""
        from jointdec.problems.molecules.forensics import investigate_runaway

        return investigate_runaway(config, dataset, state, runaway)

    def finish(self, formulation: Formulation, dataset: Dataset, seed: int, folder: Path) -> Mapping[str, float]:
        """See `Problem.finish`: draw test molecules beside their decoding, and generate new ones."""
        from jointdec.problems.molecules.judge import judge_molecules

        return judge_molecules(formulation, dataset, seed, folder)


problem = Molecules(
    data=_unused,
    model=_unused,
    heads={
        "nodes": Head("distribution", loss=_nodes, metrics=()),
        "edges": Head("distribution", loss=_edges, metrics=(), weight=2.0),
    },
    metrics={name: _share(name) for name in ("node_accuracy", "edge_accuracy", "exact")},
)
