"""A trial as it is usually written: Hydra composes, a fresh Keras model is compiled and fitted, MLflow logs by itself.

The network, the data, the batches' size and the number of steps are those of jointdec's trials. Run by sweep_speed.py:

python usual.py -m +alpha=0.1,0.2 +edges=1,2   Hydra's multirun, all trials in one process
python usual.py +alpha=0.1 +edges=1           one trial
"""

from __future__ import annotations

import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import hydra
import keras
import mlflow
import numpy as np
from omegaconf import DictConfig

from jointdec.problems.molecules.architecture import initial_weights
from jointdec.problems.molecules.config import ModelConfig
from jointdec.problems.molecules.cross_entropies import edge_cross_entropy, node_cross_entropy
from jointdec.problems.molecules.decoder import stock_model


@hydra.main(version_base="1.3", config_path=None)
def main(config: DictConfig) -> None:
    """Train one point."""
    began = time.time()
    keras.backend.clear_session()
    arrays = np.load(config.data)
    x, y = arrays["features"], {"nodes": np.eye(5, dtype="float32")[arrays["nodes"]]}
    y["edges"] = np.eye(4, dtype="float32")[arrays["edges"]]
    model_config = ModelConfig("two_tower", config.alpha, [], [128, 256, 512], mixing=True)
    model = stock_model(model_config, "float32", initial_weights(model_config, config.seed))
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-8),
        loss={"nodes": node_cross_entropy, "edges": edge_cross_entropy},
        loss_weights={"nodes": 1.0, "edges": config.edges},
    )
    mlflow.set_tracking_uri(config.uri)
    mlflow.set_experiment("usual")
    mlflow.tensorflow.autolog(log_models=False, log_datasets=False)
    size = config.train
    validation = (x[size:], {head: labels[size:] for head, labels in y.items()})
    with mlflow.start_run():
        mlflow.log_params({"alpha": config.alpha, "edges": config.edges})
        training = {head: labels[:size] for head, labels in y.items()}
        options = {"batch_size": config.batch, "epochs": config.epochs, "verbose": 0}
        model.fit(x[:size], training, validation_data=validation, **options)
    with Path(config.times).open("a") as file:
        file.write(f"{began} {time.time()}\n")


if __name__ == "__main__":
    main()
