import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointdec.reporting.summary import best_metrics, higher_is_better, is_share, last_metrics, write_summary
from jointdec.training.result import EpochResult

NAN = float("nan")


def epoch(number, loss, exact, steps=4):
    val = {"loss": loss, "nodes": loss, "edges": loss, "node_accuracy": exact, "edge_accuracy": exact, "exact": exact}
    curves = {name: np.ones(steps) for name in ("loss", "nodes", "edges")}
    train = {"loss": 1.0, "nodes": 1.0, "edges": 1.0}
    return EpochResult(number, number * steps, curves, train, val, seconds=0.1 * steps)


def test_the_summary_is_plain_json_with_every_fact(tmp_path):
    facts = {"run_id": None, "outcome": "finished", "seconds": 1.5}
    write_summary(tmp_path / "summary.json", facts, [epoch(0, 2.0, 0.1), epoch(1, 1.0, 0.2)], {"test/loss": 1.25})
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary) == ["run_id", "outcome", "seconds", "epochs", "steps", "last", "best", "final"]
    assert (summary["epochs"], summary["steps"]) == (2, 8)
    assert summary["last"]["val/loss"] == 1.0
    assert summary["last"]["time/ms_per_step"] == pytest.approx(100)
    assert summary["best"]["val/exact"] == {"value": 0.2, "epoch": 1}
    assert summary["final"] == {"test/loss": 1.25}


def test_what_is_not_finite_becomes_null_because_json_has_no_nan(tmp_path):
    write_summary(tmp_path / "summary.json", {}, [epoch(0, float("inf"), NAN)], {"generate/novelty": NAN})
    text = (tmp_path / "summary.json").read_text()
    summary = json.loads(text, parse_constant=pytest.fail)
    assert summary["last"]["val/loss"] is None
    assert summary["final"]["generate/novelty"] is None
    assert summary["best"] == {}


def test_a_run_stopped_before_its_first_epoch_has_a_summary(tmp_path):
    write_summary(tmp_path / "summary.json", {"outcome": "interrupted"}, [], {})
    assert json.loads((tmp_path / "summary.json").read_text())["last"] == {}


@given(st.lists(st.tuples(st.floats(0, 9) | st.just(NAN), st.floats(0, 1)), min_size=1))
def test_best_is_the_least_finite_loss_and_the_greatest_share(values):
    best = best_metrics([epoch(number, loss, exact) for number, (loss, exact) in enumerate(values)])
    finite = [loss for loss, _ in values if not math.isnan(loss)]
    assert best.get("val/loss", {}).get("value") == min(finite, default=None)
    assert best["val/exact"]["value"] == max(exact for _, exact in values)
    for name, chosen in best.items():
        assert last_metrics(epoch(0, *values[chosen["epoch"]]))[name] == chosen["value"]


SHARES = (
    *("val/species_accuracy", "test/exact", "val/all_right", "accuracy", "val/kind_auc", "val/kind_auc_1"),
    *("val/kind_precision_at_recall", "val/f1_score", "val/kind_f_beta_score", "val/mask_mean_io_u", "val/mean_iou"),
    *("val/kind_sparse_top_k_categorical_accuracy", "val/kind_top_5", "generate/connected_validity"),
)
LARGER = ("val/price_r2_score", "val/cosine_similarity", "val/price_pearson_correlation", "val/true_positives_2")
SMALLER = (
    *(
        "val/loss",
        "val/mass_mae",
        "step/grad_norm",
        "time/ms_per_step",
        "val/root_mean_squared_error",
        "layer/top_5_mae",
    ),
    *("val/kind_false_positives", "test/inexact", "val/kl_divergence", "val/vacc", "val/accuracy_loss"),
)


@pytest.mark.parametrize("metric", SHARES + LARGER + SMALLER)
def test_whether_more_is_better_is_told_by_the_last_word_of_a_metric_s_name(metric):
    assert higher_is_better(metric) == (metric not in SMALLER)
    assert is_share(metric) == (metric in SHARES)


def test_an_epoch_without_validation_is_not_the_best():
    unjudged = epoch(0, 1.0, 0.5)
    unjudged.val.clear()
    assert best_metrics([unjudged, epoch(1, 2.0, 0.1)])["val/loss"] == {"value": 2.0, "epoch": 1}
