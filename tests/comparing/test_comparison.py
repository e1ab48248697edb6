import csv
import math

import numpy as np
import pytest

from jointdec.comparing.comparison import compare
from jointdec.comparing.groups import make_groups
from jointdec.comparing.measured import Curves
from jointdec.comparing.report import differences_table, write_csv
from jointdec.comparing.settings import Target
from jointdec.comparing.words import sentences
from jointdec.errors import UserError

METRICS = ("nodes", "edges", "node_accuracy", "edge_accuracy", "exact")
NONE = Curves({}, {})


def row_of(values, **row):
    return row | {f"test/{name}": value for name, value in zip(METRICS, values, strict=True)}


@pytest.fixture
def two_losses(make_runs):
    """Five seeds each: split's exact is 0.1 better, its atoms' loss the same, the rest noise."""
    rng = np.random.default_rng(0)
    rows = []
    for loss, gain in (("joint", 0.0), ("split", 0.1)):
        for seed in range(5):
            noise = rng.normal(scale=0.01, size=3)
            values = (0.3 + 0.01 * seed, 0.1 + noise[0], 0.9 + noise[1], 0.9 + noise[2], 0.2 + 0.01 * seed + gain)
            rows.append(row_of(values, **{"loss.name": loss, "seed": seed}))
    return make_runs(*rows)


def compared(runs, settings, curves=None, **given):
    given = settings(**given)
    groups = make_groups(runs, given.by, given.allow)
    return compare(groups, {group.name: (curves or {}).get(group.name, NONE) for group in groups}, given)


def test_a_sentence_says_what_holds_what_is_the_same_and_how_large_the_rest_may_be(two_losses, settings):
    (text,) = sentences(compared(two_losses, settings))
    assert text.startswith("split and joint: split has better molecules exact, +10.00 points")
    assert "p < 0.001" in text
    assert "the same to five digits: atoms' loss" in text
    assert "no other that they can show; 95 % within" in text


def test_a_lower_loss_is_better_and_a_lower_share_worse(make_runs, settings):
    rows = [
        row_of((loss + 0.001 * seed**2, 1.0, 0.5, 0.5, 1 - loss), **{"loss.name": name, "seed": seed})
        for name, loss in (("joint", 0.5), ("split", 0.4))
        for seed in range(5)
    ]
    text = sentences(compared(make_runs(*rows), settings, baseline="split"))[0]
    assert "joint has worse atoms' loss, +0.1 " in text
    assert "joint has worse molecules exact, -10.00 points" in text


def test_the_corrected_p_values_are_those_of_all_comparisons_together(two_losses, settings):
    comparison = compared(two_losses, settings)
    raw = sorted((found.p, found.corrected) for found in comparison.differences.values())
    assert len(raw) == len(METRICS)
    assert raw[0][1] == pytest.approx(raw[0][0] * len(METRICS))
    assert len(differences_table(comparison).rows) == len(METRICS)


def test_one_seed_gives_differences_and_says_that_there_is_no_interval(make_runs, settings):
    rows = [row_of((0.3, 0.1, 0.9, 0.9, exact), **{"loss.name": loss}) for loss, exact in (("a", 0.1), ("b", 0.3))]
    said = sentences(compared(make_runs(*rows), settings))
    assert said[0] == "b and a, one seed: molecules exact +20.00 points."
    assert any("one seed only, so no interval can be given" in text for text in said)


def test_groups_without_a_common_seed_say_so(make_runs, settings):
    rows = [
        row_of((0.3, 0.1, 0.9, 0.9, 0.5), **{"loss.name": loss, "seed": seed}) for loss, seed in (("a", 0), ("b", 1))
    ]
    assert sentences(compared(make_runs(*rows), settings))[0] == "b and a: no seed in common, so no paired difference."


def test_diverged_and_left_out_runs_are_told_and_in_no_mean(make_runs, settings):
    rows = [row_of((0.3, 0.1, 0.9, 0.9, 0.5), seed=seed) for seed in range(2)]
    rows += [{"seed": 2, "outcome": "diverged", "divergence.step": 17.0}, {"seed": 3, "outcome": "pruned"}]
    comparison = compared(make_runs(*rows), settings)
    assert comparison.summaries["joint", "test/exact"].n == 2
    text = " ".join(sentences(comparison))
    assert "joint: 1 of 3 runs diverged (at step 17) and are in no mean; 1 run left out (pruned: run3)." in text


def test_a_group_that_all_diverged_is_shown_and_leaves_nothing_to_tell(make_runs, settings):
    rows = [row_of((0.3, 0.1, 0.9, 0.9, 0.5), **{"loss.name": "split", "seed": seed}) for seed in range(2)]
    rows += [{"loss.name": "answer", "seed": seed, "outcome": "diverged"} for seed in range(2)]
    said = sentences(compared(make_runs(*rows), settings))
    assert said[0].startswith("answer and split: no run of answer came to its end")
    assert any(text.startswith("answer: 2 of 2 runs diverged") for text in said)


def test_a_finished_run_whose_metric_is_not_finite_is_told(make_runs, settings):
    rows = [row_of((nodes, 0.1, 0.9, 0.9, 0.5), seed=seed) for seed, nodes in enumerate((0.3, 0.4, math.nan))]
    comparison = compared(make_runs(*rows), settings, metrics=["test/nodes"])
    assert comparison.summaries["joint", "test/nodes"].n == 2
    assert any("the value of 1 finished runs is not finite" in text for text in sentences(comparison))


def test_without_a_test_the_validation_split_speaks(make_runs, settings):
    runs = make_runs({f"val/{name}": 0.5 for name in METRICS})
    assert compared(runs, settings).metrics == [f"val/{name}" for name in METRICS]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"metrics": ["test/exat"]}, "metric 'test/exat' \\(did you mean 'test/exact'\\?\\)"),
        ({"baseline": "splt"}, "baseline is 'splt' \\(did you mean 'split'\\?\\), but the groups are: joint; split"),
    ],
)
def test_unknown_names_are_refused(two_losses, settings, given, said):
    with pytest.raises(UserError, match=said):
        compared(two_losses, settings, **given)


def test_total_losses_of_other_weights_are_refused(make_runs, settings):
    rows = [
        {"loss.name": name, "loss.weights.edges": edges, "test/loss": 1.0} for name, edges in (("a", 1.0), ("b", 2.0))
    ]
    with pytest.raises(UserError, match=r"weighted sum.*compare test/nodes and test/edges"):
        compared(make_runs(*rows), settings, metrics=["test/loss"])


def epochs(*exact, seconds=2.0):
    return {"val/exact": np.array(exact), "seconds": np.full(len(exact), seconds)}


def test_the_time_to_a_target_is_the_median_and_infinite_where_half_never_get_there(two_losses, settings):
    curves = {
        "joint": Curves({}, {"run0": epochs(0.1, 0.3, 0.2), "run1": epochs(0.3, 0.1, 0.1), "run2": epochs(0, 0, 0.3)}),
        "split": Curves({}, {"run5": epochs(0.3, 0.3, 0.3), "run6": epochs(0, 0, 0)}),
    }
    reached = compared(two_losses, settings, curves, target="val/exact:0.25").reached
    assert reached["joint"] == (3, 3, 2.0, 4.0)
    assert reached["split"] == (1, 2, math.inf, math.inf)


def test_by_default_the_target_is_what_half_of_the_baselines_runs_reach(two_losses, settings):
    curves = {"joint": Curves({}, {"run0": epochs(0.1, 0.2), "run1": epochs(0.1, 0.4), "run2": epochs(0.1, 0.3)})}
    assert compared(two_losses, settings, curves).target == Target("val/exact", 0.3)


def test_the_table_holds_the_means_and_differences_of_numpy(two_losses, settings, tmp_path):
    write_csv(compared(two_losses, settings), tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as file:
        rows = {(row["group"], row["metric"]): row for row in csv.DictReader(file)}
    assert len(rows) == 2 * len(METRICS)
    exact = two_losses.pivot(index="seed", columns="loss.name", values="test/exact")
    row = rows["split", "test/exact"]
    assert float(row["mean"]) == pytest.approx(exact["split"].mean())
    assert float(row["median"]) == pytest.approx(exact["split"].median())
    assert float(row["difference"]) == pytest.approx((exact["split"] - exact["joint"]).mean())
    assert row["verdict"] == "better"
    assert rows["joint", "test/exact"]["difference"] == ""


def test_losses_that_are_different_functions_are_not_compared(make_runs, settings):
    rows = [row_of((0.3, 0.1, 0.9, 0.9, 0.5), **{"loss.name": name}) for name in ("split", "mse")]
    comparison = compared(make_runs(*rows), settings)
    assert comparison.metrics == ["test/node_accuracy", "test/edge_accuracy", "test/exact"]
    assert any("different functions (the cross-entropy, that of mse)" in text for text in sentences(comparison))
    with pytest.raises(UserError, match="test/nodes, but the runs' losses are different functions"):
        compared(make_runs(*rows), settings, metrics=["test/nodes"])
