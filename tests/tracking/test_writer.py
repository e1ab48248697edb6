import threading

import pytest
from mlflow.entities import Metric

from jointdec.tracking.writer import BATCH, WAITING, MetricWriter


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
