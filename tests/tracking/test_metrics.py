import math
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Metric

from jointdec.tracking.metrics import (
    BATCH,
    WAITING,
    MetricWriter,
    epoch_metrics,
    mlflow_name,
    plain_metrics,
    thinned,
    without_infinities,
)


def metrics(count):
    return [Metric("step/loss", float(index), 0, index) for index in range(count)]


def test_every_metric_is_written_once_in_order_in_batches_within_mlflow_s_limit():
    written = []
    writer = MetricWriter(lambda batch: written.append(list(batch)))
    for first in range(0, 2500, 500):
        writer.put(metrics(2500)[first : first + 500])
    writer.close()
    assert [metric.step for batch in written for metric in batch] == list(range(2500))
    assert max(len(batch) for batch in written) <= BATCH


def test_many_small_epochs_share_few_calls():
    written = []
    writer = MetricWriter(written.append)
    for _ in range(40):
        writer.put(metrics(25))
    writer.close()
    assert sum(map(len, written)) == 1000
    assert len(written) < 40


def test_metrics_arrive_without_waiting_for_a_full_batch():
    arrived = threading.Event()
    writer = MetricWriter(lambda _: arrived.set())
    writer.put(metrics(3))
    assert arrived.wait(timeout=30)
    writer.close()


def test_writing_happens_beside_the_thread_that_puts():
    threads = set()
    writer = MetricWriter(lambda _: threads.add(threading.current_thread()))
    writer.put(metrics(3))
    writer.close()
    assert threads
    assert threading.current_thread() not in threads


def test_a_failed_write_raises_at_close_and_at_the_next_put():
    failed = threading.Event()

    def fail(_):
        failed.set()
        raise ConnectionError("the server is gone")

    writer = MetricWriter(fail)
    writer.put(metrics(3))
    assert failed.wait(timeout=30)
    with pytest.raises(ConnectionError, match="the server is gone"):
        writer.close()
    with pytest.raises(ConnectionError, match="the server is gone"):
        writer.put(metrics(1))


def test_a_failed_write_never_leaves_the_main_thread_waiting_at_a_full_queue():
    def fail(_):
        raise ConnectionError

    writer = MetricWriter(fail)

    def overfill():
        for _ in range(3):
            writer.put(metrics(WAITING))
        writer.close()

    with pytest.raises(ConnectionError):  # from `put` or from `close`, whichever comes to know it first
        overfill()


def test_closing_twice_is_harmless():
    writer = MetricWriter(lambda _: None)
    writer.close()
    writer.close()


def steps_of(metrics, key):
    return [metric.step for metric in metrics if metric.key == key]


def test_an_epoch_gives_exactly_the_published_names(make_epoch):
    names = {metric.key for metric in epoch_metrics(make_epoch(), ended=10.0, not_before=0.0)}
    assert names == {
        *("step/loss", "step/nodes", "step/edges", "step/grad_norm"),
        *("train/loss", "train/nodes", "train/edges"),
        *("val/loss", "val/nodes", "val/edges", "val/node_accuracy", "val/edge_accuracy", "val/exact"),
        "time/ms_per_step",
    }


def test_step_metrics_lie_over_the_global_step_and_the_others_over_the_epoch(make_epoch):
    metrics = epoch_metrics(make_epoch(epoch=4, steps=3, first_step=12), ended=10.0, not_before=0.0)
    loss = [(metric.step, metric.value) for metric in metrics if metric.key == "step/loss"]
    assert loss == [(12, 12.0), (13, 13.0), (14, 14.0)]
    assert {metric.step for metric in metrics if not metric.key.startswith("step/")} == {4}


def test_the_gradient_s_norm_lies_at_the_steps_in_which_it_was_measured_and_layers_are_left_out(make_epoch):
    metrics = epoch_metrics(make_epoch(epoch=1, steps=5, first_step=5, seconds=0.5), ended=10.0, not_before=0.0)
    norms = [(metric.step, metric.value) for metric in metrics if metric.key == "step/grad_norm"]
    assert norms == [(5, 5.75), (7, 7.75), (9, 9.75)]
    times = {metric.step: metric.timestamp for metric in metrics if metric.key == "step/loss"}
    assert all(metric.timestamp == times[metric.step] for metric in metrics if metric.key == "step/grad_norm")
    assert not any("nodes_1" in metric.key for metric in metrics)


def test_thinned_curves_hold_every_nth_step_of_the_run_whatever_the_length_of_an_epoch(make_epoch):
    epochs = [make_epoch(epoch=epoch, steps=7, first_step=7 * epoch) for epoch in range(4)]
    metrics = [metric for epoch in epochs for metric in epoch_metrics(epoch, ended=10.0, not_before=0.0, every=5)]
    assert steps_of(metrics, "step/loss") == [0, 5, 10, 15, 20, 25]
    assert steps_of(metrics, "val/loss") == [0, 1, 2, 3]


@given(apart=st.integers(1, 50), every=st.integers(1, 50), count=st.integers(1, 300))
def test_a_thinned_curve_has_one_point_in_each_stretch_in_which_it_has_any(apart, every, count):
    at = apart * np.arange(count)
    kept = at[thinned(at, apart, every)]
    assert (kept // every).tolist() == sorted(set((at // every).tolist()))


def test_a_step_that_diverged_or_was_skipped_is_never_thinned_out(make_epoch):
    cut_short = replace(make_epoch(steps=9), diverged_at=8, skipped=(3,))
    metrics = epoch_metrics(cut_short, ended=10.0, not_before=0.0, every=5)
    assert steps_of(metrics, "step/loss") == [0, 3, 5, 8]
    assert steps_of(metrics, "step/grad_norm") == [0, 6, 8]
    went_on = replace(make_epoch(steps=9), diverged_at=2)
    assert steps_of(epoch_metrics(went_on, ended=10.0, not_before=0.0, every=5), "step/loss") == [0, 2, 5, 8]


def test_a_name_that_mlflow_refuses_is_made_one_that_it_takes(make_epoch):
    result = replace(make_epoch(), val={"<lambda>": 1.0})
    assert steps_of(epoch_metrics(result, ended=10.0, not_before=0.0), "val/_lambda_") == [0]
    assert mlflow_name("val/kind_accuracy") == "val/kind_accuracy"
    assert len(mlflow_name("x" * 300)) == 250


def test_ms_per_step_is_wall_time_over_steps(make_epoch):
    metrics = epoch_metrics(make_epoch(steps=3, seconds=0.6), ended=10.0, not_before=0.0)
    (found,) = (metric.value for metric in metrics if metric.key == "time/ms_per_step")
    assert math.isclose(found, 200.0)


def test_steps_are_spread_over_the_epoch_s_wall_time(make_epoch):
    metrics = epoch_metrics(make_epoch(steps=3, seconds=0.6), ended=10.0, not_before=0.0)
    assert [metric.timestamp for metric in metrics if metric.key == "step/edges"] == [9600, 9800, 10000]


def test_no_step_is_dated_before_the_epoch_before_it(make_epoch):
    metrics = epoch_metrics(make_epoch(steps=3, seconds=0.6), ended=10.0, not_before=9.7)
    assert [metric.timestamp for metric in metrics if metric.key == "step/edges"] == [9800, 9900, 10000]


def test_infinities_are_left_out_and_nan_stays():
    values = {"a": math.inf, "b": -math.inf, "c": math.nan, "d": 1.7e308}
    kept: list[Metric] = without_infinities(plain_metrics(values, step=1, at=2.0))
    assert [metric.key for metric in kept] == ["c", "d"]
    assert math.isnan(kept[0].value)
