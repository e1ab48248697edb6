"""The formulations as things that take some steps and show their weights, and a loss whose gradient is the true one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from hydra import compose, initialize_config_dir
from keras import ops

from jointdec.config import Config, conf_folder, parse
from jointdec.data.dataset import Dataset
from jointdec.losses.formulation import Formulation, Tensor, make_formulation
from jointdec.losses.joint import Joint, JointModel
from jointdec.training import make_training
from jointdec.training.batchwise import dense_labels
from jointdec.training.fit import FitTraining
from jointdec.training.program import CompiledTraining
from jointdec.training.session import SessionTraining

BATCH = 50
PATHS = ("training.on_divergence=continue",)  # all contenders go on, whatever becomes of it
Indices = npt.NDArray[np.int32]
Advance = Callable[[Indices], Any]

CONTENDERS = ("joint", "split", "zero_plus_total", "tf_native", "tf1_graph", "split under fit", "true gradient")


def make(name: str, data: str, precision: str, dataset: Dataset) -> tuple[Formulation, Advance]:
    """A contender with the initial weights of seed 0, and what trains it on molecules in this order, 50 a step."""
    loss = {"split under fit": "split", "true gradient": "joint"}.get(name, name)
    config = compose_config(f"loss={loss}", f"data={data}", f"training.precision={precision}")
    if name == "split under fit":
        config.training.name = "fit"
    formulation = TrueGradient(config) if name == "true gradient" else make_formulation(config)
    training = make_training(config, formulation, dataset)
    train, labels = dataset.train, dense_labels(dataset.train)

    def session(order: Indices) -> None:
        assert isinstance(training, SessionTraining)
        for batch in np.split(order, len(order) // BATCH):
            training._formulation.step(train.features[batch], {head: array[batch] for head, array in labels.items()})

    def fit(order: Indices) -> None:
        assert isinstance(training, FitTraining)
        rows = {head: array[order] for head, array in labels.items()}
        model = training._formulation.model
        model.fit(train.features[order], rows, batch_size=BATCH, shuffle=False, verbose=0)

    def compiled(order: Indices) -> None:
        assert isinstance(training, CompiledTraining)
        whole = np.resize(order, len(train))  # the program takes an epoch's order and stops after the asked steps
        training._program(*training._train, tf.constant(whole), tf.constant(0), tf.constant(len(order) // BATCH))

    return formulation, {"tf1_graph": session, "split under fit": fit}.get(name, compiled)


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
        return sum(self.weights_of[head].variable * ops.mean(term) for head, term in terms.items())


class TrueGradient(Joint):
    """``joint`` with that loss."""

    model_class = TrueGradientModel
