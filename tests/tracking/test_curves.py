import math

from mlflow.entities import Metric

from jointdec.tracking.curves import epoch_metrics, plain_metrics, without_infinities


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
