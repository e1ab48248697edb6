"""docs/choosing.md: that its code runs as it stands there, and does what the page says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "choosing.md"
TWO_DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""
CHECKS = """
import contextlib, json

def step(build, strategy=None):
    "How far one step of SGD moves the weights."
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        features = keras.Input((135,))
        heads = {
            "nodes": keras.layers.Reshape((9, 5), name="nodes")(keras.layers.Dense(45)(features)),
            "edges": keras.layers.Reshape((9, 9, 4), name="edges")(keras.layers.Dense(324)(features)),
        }
        stepped = build(features, heads)
        before = [weight.copy() for weight in stepped.get_weights()]
        labels = {head: array[:100] for head, array in y.items()}
        stepped.fit(x[:100], labels, batch_size=100, shuffle=False, verbose=0)
    moved = [(a - b).ravel() for a, b in zip(stepped.get_weights(), before)]
    return float(np.linalg.norm(np.concatenate(moved).astype("float64")))

def split(*losses):
    def build(features, heads):
        made = keras.Model(features, heads)
        made.compile("sgd", loss=dict(zip(("nodes", "edges"), losses)))
        return made
    return build

def subclass(kind):
    def build(features, heads):
        made = kind(features, heads)
        made.compile("sgd")
        return made
    return build

both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
as_written = split(node_loss, edge_loss)
scalars = split(*(lambda a, b, f=f: ops.mean(f(a, b)) for f in (node_loss, edge_loss)))
def live(weight):
    "How far one step of SGD moves the second head's weights, before and after its weight is set from 2 to 5."
    moved = []
    keras.utils.set_random_seed(0)
    features = keras.Input((135,))
    head = keras.layers.Reshape((9, 9, 4), name="edges")(keras.layers.Dense(324)(features))
    made = keras.Model(features, {"edges": head})
    weights = {"edges": weight}
    made.compile("sgd", loss={"edges": edge_loss}, loss_weights=weights)
    start = made.get_weights()
    for value in (2.0, 5.0):
        if isinstance(weights["edges"], float):
            weights["edges"] = value
        else:
            weights["edges"].assign(value)
        made.set_weights(start)
        before = start[0].astype("float64")
        made.fit(x[:100], {"edges": y["edges"][:100]}, batch_size=100, verbose=0)
        moved.append(np.abs(made.get_weights()[0] - before).sum())
    return moved[1] / moved[0]

def first_loss(losses):
    made = keras.Model(inputs, outputs)
    made.compile("sgd", loss=losses)
    return float(made.evaluate(x, y, verbose=0, return_dict=True)["loss"])

print(json.dumps({
    "live": live(keras.Variable(2.0, trainable=False)),
    "frozen": live(2.0),
    "list": first_loss([node_loss, edge_loss]) / first_loss({"nodes": edge_loss, "edges": node_loss}),
    "float16": float(np.mean(np.float16(half.predict(x, verbose=0)["nodes"]) == half.predict(x, verbose=0)["nodes"])),
    "half_optimizer": type(half.optimizer).__name__,
    "half_logits": half.output["nodes"].dtype,
    "split": step(as_written, both) / step(as_written),
    "scalars": step(scalars, both) / step(scalars),
    "joint": step(subclass(Joint), both) / step(subclass(Joint)),
    "divided": step(subclass(JointOnSeveral), both) / step(subclass(JointOnSeveral)),
}))
"""


@pytest.mark.slow
def test_every_block_runs_and_several_devices_scale_the_gradient_as_the_page_says(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 6
    script = tmp_path / "page.py"
    script.write_text("\n".join([TWO_DEVICES, *blocks, CHECKS]), encoding="utf-8")
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("half_optimizer") == "LossScaleOptimizer"
    assert found.pop("half_logits") == "float32"
    assert found.pop("float16") < 0.1  # few of the logits would fit into float16
    assert (found.pop("live"), found.pop("frozen")) == pytest.approx((2.5, 1), rel=0.02)
    assert found.pop("list") == pytest.approx(1)  # in alphabetical order: each output gets the other's loss
    assert found == pytest.approx({"split": 1, "scalars": 2, "joint": 2, "divided": 1}, rel=1e-4)
