"""The formulations as things that take some steps and show their weights, and a loss whose gradient is the true one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hydra import compose, initialize_config_dir
from keras import ops

from jointdec.config import Config, conf_folder, parse
from jointdec.dataset import Dataset
from jointdec.objective.formulation import Formulation, Tensor, make_formulation
from jointdec.objective.formulations import Joint, JointModel
from jointdec.problems import find
from jointdec.training import make_training

BATCH = 50
PATHS = ("training.on_divergence=continue",)  # all contenders go on, whatever becomes of it
Advance = Callable[[int, int, int], Any]

CONTENDERS = ("joint", "split", "zero_plus_total", "tf_native", "tf1_graph", "split under fit", "true gradient")


def make(name: str, data: str, precision: str, dataset: Dataset) -> tuple[Formulation, Advance]:
    """A contender with the initial weights of seed 0, and what takes steps of an epoch, from one to before another."""
    loss = {"split under fit": "split", "true gradient": "joint"}.get(name, name)
    config = compose_config(f"loss={loss}", f"data={data}", f"training.precision={precision}")
    if name == "split under fit":
        config.training.name = "fit"
    formulation = TrueGradient(find("molecules"), config) if name == "true gradient" else make_formulation(config)
    training = make_training(config, formulation, dataset)
    return formulation, lambda epoch, first, stop: training.run_steps(epoch, first, stop, training.policy.norms)


def compose_config(*overrides: str) -> Config:
    """What ``python -m jointdec.run`` composes."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return parse(compose("config", overrides=[*overrides, f"training.batch_size={BATCH}", *PATHS]))


class TrueGradientModel(JointModel):
    """-sum_c y_c log_softmax(z)_c, differentiated as it stands: the gradient is p sum(y) - y, not p - y."""

    def compute_loss(
        self,
        x: Tensor = None,
        y: Any = None,  # noqa: ANN401 (the two heads' labels)
        y_pred: Any = None,  # noqa: ANN401 (the two heads' logits)
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """See `JointModel.compute_loss`."""
        terms = {head: -ops.sum(y[head] * ops.log_softmax(y_pred[head]), axis=-1) for head in ("nodes", "edges")}
        terms["edges"] = ops.triu(terms["edges"], k=1)
        weights = self.formulation.loss_weights
        return sum(weights[head].variable * ops.mean(term) for head, term in terms.items())


class TrueGradient(Joint):
    """``joint`` with that loss."""

    model_class = TrueGradientModel
