import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st

from jointdec.config import conf_folder, parse
from jointdec.divergence.record import Divergence
from jointdec.divergence.runaway import Runaway
from jointdec.problems.molecules.specimens import Finding
from jointdec.reporting.names import higher_is_better, is_share
from jointdec.reporting.outcome import Findings, best_metrics, description, last_metrics, write_summary
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


def describe(*overrides, outcome="finished", final=None, warnings=(), findings=None):
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = parse(compose("config", overrides=list(overrides)))
    dataset = SimpleNamespace(name="molecules", train=range(4000), digest="abc123", warnings=warnings, missing={})
    return description(config, dataset, outcome, [], final or {}, findings or Findings())


def test_it_says_what_was_trained_on_what_and_how_it_ended():
    text = describe("loss=tf_native", "loss.weights.edges=3", final={"test/exact": 0.25})
    for fact in ("**tf_native**", "1 · nodes + 3 · edges", "4,000 examples", "abc123", "**finished**", "0.2500"):
        assert fact in text


def test_it_says_of_a_run_that_diverged_what_where_why_and_what_to_try():
    divergence = Divergence(17, np.arange(3), "edges_gram", "It is inf.", "learning_rate", "It moved.", [], False)
    text = describe(outcome="diverged", findings=Findings(divergence=divergence))
    for fact in ("step 17", "edges_gram", "It is inf.", "**learning_rate**", "It moved.", divergence.remedy):
        assert fact in text


def test_it_says_when_a_loss_ran_away_while_finite():
    runaway = Runaway(step=5, head="nodes", kind="growth", value=1e6, median=2.0)
    assert "The nodes loss ran away in step 5" in describe(findings=Findings(runaway=runaway))


def test_it_warns_of_labels_that_are_no_distributions():
    text = describe(warnings=["5 of 6 labels are no distributions."])
    assert "5 of 6 labels are no distributions." in text
    assert "Warning" not in describe()


def test_it_explains_a_specimen_and_gives_the_evidence():
    text = describe("loss=answer", outcome="specimen_failed", findings=Findings(Finding("nan", "It came in step 3.")))
    for fact in ("specimen", "Found (nan): It came in step 3.", "takes probabilities", "Instead: loss=split"):
        assert fact in text
    assert "specimen" not in describe("loss=split")
