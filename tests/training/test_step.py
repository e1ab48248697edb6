"""What steps log, against Keras's own reading of it."""

import numpy as np
import tensorflow as tf
from keras.src.utils.python_utils import pythonify_logs

from jointdec.training.step import numbers, opened, read

LOGS = {"loss": tf.constant(0.5), "all": {"mae": tf.constant(2.0), "within": {"deep": np.float32(3)}}, "whole": 1}


def test_logs_are_opened_and_read_as_keras_does():
    assert read(LOGS) == pythonify_logs(LOGS) == {"loss": 0.5, "mae": 2.0, "deep": 3.0, "whole": 1.0}
    assert list(opened(LOGS)) == ["loss", "mae", "deep", "whole"]


def test_a_value_of_several_numbers_stays_an_array_and_its_numbers_have_names():
    logs = read({"f1": tf.constant([0.25, 0.5]), "table": np.eye(2), "one": tf.constant([4.0])})
    assert logs["f1"].tolist() == [0.25, 0.5]
    assert numbers(logs) == {
        "f1/0": 0.25,
        "f1/1": 0.5,
        "table/0/0": 1.0,
        "table/0/1": 0.0,
        "table/1/0": 0.0,
        "table/1/1": 1.0,
        "one/0": 4.0,
    }
