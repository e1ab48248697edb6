import json
import subprocess
import sys

import mlflow
import numpy as np
import pytest

from jointdec.tracking import open_tracker

pytestmark = [
    # Keras 3.15 hands variables to NumPy 2.4 in the way of NumPy 1
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    # MLflow 3.17 warns of its own type hints when mlflow.pyfunc is imported; it reaches no terminal
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

LOAD = """
import json, sys
import mlflow, numpy as np
uri, store = sys.argv[1:]
mlflow.set_tracking_uri(store)
features = np.linspace(-1, 1, 2 * 135, dtype=np.float32).reshape(2, 135)
heads = mlflow.pyfunc.load_model(uri).predict(features).item()
with open("heads.json", "w") as file:
    json.dump({name: values.tolist() for name, values in heads.items()}, file)
"""


@pytest.fixture
def decoder():
    """A small model of the decoder's shape: Dense, LeakyReLU, a Gram matrix, two heads in a dictionary."""
    import keras
    from keras import layers, ops

    # an earlier test of this process that trained in float64 leaves these as it had them
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    features = layers.Input((135,), name="features")
    trunk = layers.LeakyReLU(negative_slope=0.2)(layers.Dense(16)(features))
    edges = layers.Reshape((4, 9, 3))(layers.Dense(108)(trunk))
    edges = ops.matmul(edges, ops.transpose(edges, (0, 1, 3, 2)))
    heads = {
        "nodes": layers.Reshape((9, 5), name="nodes")(layers.Dense(45)(trunk)),
        "edges": layers.Permute((2, 3, 1), name="edges")(edges),
    }
    return keras.Model(features, heads, name="two_tower")


@pytest.mark.slow
def test_a_stored_model_gives_the_same_heads_in_a_fresh_process(make_config, store_uri, decoder, tmp_path, capfd):
    with open_tracker(make_config(), tmp_path, []) as tracker:
        uri = tracker.log_model(decoder)
    assert capfd.readouterr() == ("", "")
    for address in (uri, f"runs:/{tracker.run_id}/model"):
        subprocess.run([sys.executable, "-c", LOAD, address, store_uri], check=True, cwd=tmp_path)
        loaded = json.loads((tmp_path / "heads.json").read_text())
        features = np.linspace(-1, 1, 2 * 135, dtype=np.float32).reshape(2, 135)
        expected = decoder(features)
        for name, shape in (("nodes", (2, 9, 5)), ("edges", (2, 9, 9, 4))):
            assert np.shape(loaded[name]) == shape
            np.testing.assert_allclose(loaded[name], expected[name], rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_a_stored_model_names_its_shapes_and_its_pinned_packages(make_config, store_uri, decoder, tmp_path):
    with open_tracker(make_config(), tmp_path, []) as tracker:
        uri = tracker.log_model(decoder)
    mlflow.set_tracking_uri(store_uri)
    try:
        signature = mlflow.models.get_model_info(uri).signature
        requirements = mlflow.pyfunc.get_model_dependencies(uri)
    finally:
        mlflow.set_tracking_uri(None)
    assert [(spec.type, spec.shape) for spec in signature.inputs] == [(np.dtype("float32"), (-1, 135))]
    outputs = {spec.name: (spec.type, spec.shape) for spec in signature.outputs}
    assert outputs == {
        "nodes": (np.dtype("float32"), (-1, 9, 5)),
        "edges": (np.dtype("float32"), (-1, 9, 9, 4)),
    }
    with open(requirements) as file:  # noqa: PTH123 (MLflow gives a string)
        pins = dict(line.strip().split("==") for line in file)
    assert pins["tensorflow"].startswith("2.21")
    assert pins["keras"].startswith("3.15")
