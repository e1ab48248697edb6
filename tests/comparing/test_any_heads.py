"""Comparisons of runs whose heads jointdec has never heard of: of one, two, three and twelve, and a user's own."""

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from jointdec.compare import main
from jointdec.comparing.comparison import compare
from jointdec.comparing.figures import MOST, pictures, plots, save
from jointdec.comparing.groups import make_groups
from jointdec.comparing.measured import Curve, Curves, head_of, measured
from jointdec.comparing.report import means_table
from jointdec.comparing.settings import Target
from jointdec.comparing.words import about, sentences
from jointdec.errors import UserError
from jointdec.training.result import EpochResult

PENGUINS = ("species", "sex", "mass", "species_accuracy", "sex_accuracy", "mass_mae", "all_right")


@pytest.fixture
def make_own(make_runs):
    """``make_own(heads, *rows)``: runs of a problem of their own, whose heads have the weight 1."""

    def make(heads, *rows, problem="penguins"):
        runs = make_runs(*rows).drop(columns=["loss.weights.nodes", "loss.weights.edges", "data.name"])
        weights = {f"loss.weights.{head}": 1.0 for head in sorted(heads)}
        return runs.assign(**{"problem": problem} | {k: v for k, v in weights.items() if k not in runs})

    return make


def rows_of(names, split="test", seeds=3):
    """Joint, and split, which is 0.1 higher in everything; noise of a thousandth between the seeds."""
    rng = np.random.default_rng(0)
    return [
        {"loss.name": loss, "seed": seed}
        | {f"{split}/{name}": 0.5 + gain + 0.001 * rng.normal() for name in reversed(names)}
        for loss, gain in (("joint", 0.0), ("split", 0.1))
        for seed in range(seeds)
    ]


def curves_of(losses, metrics, group):
    """Four epochs of ten steps, in the order in which a training records them."""
    steps = {f"step/{name}": Curve(np.arange(40.0), np.linspace(2, 0.1, 40)[None]) for name in ("loss", *losses)}
    norm = {"step/grad_norm": Curve(np.arange(40.0), np.ones((1, 40)))}
    ends = {f"val/{n}": Curve(np.arange(10.0, 41, 10), np.linspace(1, 0.4, 4)[None]) for n in (*losses, *metrics)}
    epochs = {name: curve.values[0] for name, curve in ends.items()} | {"seconds": np.ones(4)}
    return Curves(steps | norm | ends, dict.fromkeys(group.runs["run_id"], epochs))


@pytest.fixture
def compared(settings):
    def of(runs, losses=(), judged=(), **given):
        asked = settings(**given)
        groups = make_groups(runs, asked.by, asked.allow)
        return compare(groups, {group.name: curves_of(losses, judged, group) for group in groups}, asked)

    return of


@pytest.fixture
def penguins(make_own, compared):
    return compared(make_own(PENGUINS[:3], *rows_of(PENGUINS)), PENGUINS[:3], PENGUINS[3:])


def test_heads_come_from_the_runs_and_metrics_in_the_order_in_which_they_are_recorded(penguins):
    assert penguins.measured.heads == ["species", "sex", "mass"]
    assert penguins.metrics == [f"test/{name}" for name in PENGUINS]


def test_what_is_told_has_the_heads_own_names_and_an_error_is_better_where_it_is_lower(penguins):
    text = " ".join(sentences(penguins))
    assert "split has worse species loss, +0." in text
    assert "split has better species accuracy, +" in text
    assert "split has worse mass mae, +0." in text
    assert "points (mass mae)" not in text
    assert "data penguins (digest d1); 4 epochs, 50 examples a batch" in about(penguins)
    names = ["species loss", "sex loss", "mass loss", "species accuracy", "sex accuracy", "mass mae", "all right"]
    assert list(means_table(penguins, "mean").head[3:]) == names


def test_the_figures_are_of_all_heads_and_metrics_there_are(penguins, tmp_path):
    drawn = {plot.name: plot for plot in plots(penguins)}
    assert list(drawn) == ["learning_curves", "final_metrics"]  # three heads: none against another; no layers
    titles = [axes.get_title(loc="left") for axes in drawn["learning_curves"].figure.axes]
    assert titles[:3] == ["training: species loss", "training: sex loss", "training: mass loss"]
    assert [*titles[6:10], titles[10]] == [
        *("validation: species accuracy", "validation: sex accuracy", "validation: mass mae", "validation: all right"),
        "gradient's 2-norm",
    ]
    assert "validation: all right: joint 40.0 %" in drawn["learning_curves"].alt
    for plot in drawn.values():
        save(plot, tmp_path)
    assert pictures(penguins, [], None) == []
    with pytest.raises(UserError, match="pictures names runs, but their problem draws none"):
        pictures(penguins, ["run0"], None)


def test_the_target_is_the_last_metric_of_which_more_is_better(penguins):
    assert penguins.target == Target("val/all_right", pytest.approx(0.4))


def test_what_the_test_split_alone_has_is_no_target(make_own, compared):
    comparison = compared(make_own(["kind"], *rows_of(["kind", "kind_accuracy", "kind_auc"])), ["kind"], ["kind_auc"])
    assert comparison.measured.merit("test", comparison.metrics) == "test/kind_accuracy"
    assert comparison.target == Target("val/kind_auc", pytest.approx(0.4))


def test_where_less_of_every_metric_is_better_the_last_of_them_is_the_target(make_own, compared):
    runs = make_own(["price"], *rows_of(["price", "price_mae"]))
    comparison = compared(runs, ["price"], ["price_mae"])
    assert comparison.target == Target("val/price_mae", pytest.approx(0.4))
    assert comparison.reached["joint"].epochs == 4
    assert any("Validation price mae of at most 0.4 is reached by" in text for text in sentences(comparison))


def test_one_head_without_metrics_is_compared_by_its_loss(make_own, compared):
    comparison = compared(make_own(["price"], *rows_of(["price"])), ["price"])
    assert comparison.metrics == ["test/price"]
    (learning, finals) = plots(comparison)
    assert (learning.name, finals.name) == ("learning_curves", "final_metrics")
    assert [axes.get_title(loc="left") for axes in learning.figure.axes if axes.get_visible()] == [
        *("training: price loss", "validation: price loss", "gradient's 2-norm")
    ]


def test_runs_that_name_no_head_are_compared_by_what_their_steps_and_epochs_recorded(make_own, compared):
    runs = make_own([], *rows_of(["loss", "mae"])).drop(columns=["loss.name", "problem"]).assign(kind="a")
    comparison = compared(runs, by=["kind"])
    assert comparison.measured.losses == ["loss"]
    assert comparison.metrics == ["test/loss", "test/mae"]
    titles = [axes.get_title(loc="left") for axes in plots(comparison)[0].figure.axes]
    assert "training: total loss" in titles


def test_of_twelve_heads_each_kind_of_curve_has_its_part_of_the_page_and_the_others_are_named(make_own, compared):
    heads = [f"task_{number}" for number in range(12)]
    metrics = [f"{head}_auc" for head in heads]
    names = [*heads, *metrics, "all_right"]
    comparison = compared(make_own(heads, *rows_of(names)), heads, names[12:])
    assert comparison.measured.of_head("task_1") == ["task_1_auc"]
    assert len(comparison.metrics) == 25
    learning = next(plot for plot in plots(comparison) if plot.name == "learning_curves")
    titles = [axes.get_title(loc="left") for axes in learning.figure.axes]
    assert len(titles) == MOST
    for kind in (
        "training: task 0 loss",
        "validation: task 0 loss",
        "validation: task 0 auc",
        "validation: all right",
        "gradient's 2-norm",
    ):
        assert kind in titles
    assert "Not drawn, for there are too many: training: task 4 loss" in learning.caption


def test_two_heads_are_drawn_against_each_other_whichever_way_is_better(make_own, compared):
    names = ["price", "kind", "price_mae", "kind_accuracy", "kind_auc"]
    comparison = compared(make_own(names[:2], *rows_of(names)), names[:2], names[2:])
    (pareto,) = (plot for plot in plots(comparison) if plot.name == "pareto")
    assert pareto.title == "Price against kind"
    (axes,) = pareto.figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("price mae", "kind accuracy, percent")
    assert pareto.alt == "Kind accuracy over price mae. On the front: joint, split."  # a lower error, a higher share


def test_heads_that_have_no_metric_are_drawn_by_their_losses_if_these_are_the_same_function(make_own, compared):
    heads = ["left", "right"]
    runs = make_own(heads, *rows_of(heads))
    assert "Right loss over left loss. On the front: joint." in [plot.alt for plot in plots(compared(runs, heads))]
    runs["loss.name"] = runs["loss.name"].replace("split", "mse")
    with pytest.raises(UserError, match="No run has a loss or metric of any split"):
        compared(runs, heads)


def test_a_term_over_several_heads_is_a_loss_like_those_of_the_heads(make_own, compared):
    names = ["homo", "lumo", "gap", "homo_mae"]
    runs = make_own(names[:2], *rows_of(names)).assign(**{"loss.terms.gap": 0.5})
    comparison = compared(runs, names[:3], names[3:])
    assert comparison.metrics == ["test/homo", "test/lumo", "test/gap", "test/homo_mae"]
    assert comparison.name_of("test/gap") == "gap term"
    assert comparison.name_of("step/gap") == "gap term"


def test_the_total_of_terms_that_weigh_differently_is_refused(make_own, compared):
    runs = make_own(["homo"], *rows_of(["loss", "homo"])).assign(**{"loss.terms.gap": [0.5] * 3 + [1.0] * 3})
    with pytest.raises(UserError, match=r"weighted sum of the heads' losses.*compare test/homo and test/gap"):
        compared(runs, metrics=["test/loss"])


def test_a_metric_that_a_group_lacks_is_not_compared_by_default(make_own, compared):
    rows = rows_of(["price", "price_mae"])
    for row in rows[3:]:
        del row["test/price_mae"]
    assert compared(make_own(["price"], *rows)).metrics == ["test/price"]


def test_a_user_s_own_problem_has_no_words_and_is_not_imported_for_them(make_own, compared):
    comparison = compared(make_own(["price"], *rows_of(["price"]), problem="house.py"), ["price"])
    assert comparison.name_of("val/price") == "price loss"
    assert pictures(comparison, [], None) == []


def test_runs_of_different_problems_are_refused_in_one_sentence_until_they_are_allowed(make_own, make_runs, settings):
    own = make_own(["price"], {"loss.name": "split", "test/price": 1.0}).assign(run_id="own")
    runs = pd.concat([make_runs({"test/nodes": 1.0}), own], ignore_index=True)
    with pytest.raises(UserError, match=r"different problems.*problem \(molecules, penguins\).*allow=\[problem\]"):
        make_groups(runs, ["loss"], [])
    assert len(make_groups(runs, ["loss"], ["problem"])) == 2
    groups = make_groups(runs, ["problem"], ["loss.name"])  # who asks by problem says what is compared
    found = measured(groups, {})
    assert (found.problem, found.heads) == ("", ["nodes", "edges", "price"])
    assert compare(groups, {group.name: Curves({}, {}) for group in groups}, settings()).metrics == [
        *("test/nodes", "test/price")
    ]


@pytest.mark.parametrize(
    ("metric", "head"),
    [("kind_accuracy", "kind"), ("kind_of_accuracy", "kind_of"), ("node_auc", "nodes"), ("exact", None)],
)
def test_a_metric_is_of_the_head_whose_name_or_singular_it_begins_with(metric, head):
    assert head_of(metric, ["kind", "kind_of", "nodes"]) == head


@pytest.mark.slow
def test_recorded_runs_of_another_problem_become_a_page(tmp_path, capsys):
    from jointdec.reporting.curve_arrays import save_curves

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiment = client.create_experiment("jointdec", artifact_location=(tmp_path / "artifacts").as_uri())
    for loss, gain in (("joint", 0.0), ("split", 0.1)):
        for seed in range(2):
            tags = {"jointdec.formulation": loss, "jointdec.outcome": "finished", "jointdec.data_digest": "d"}
            run_id = client.create_run(experiment, tags=tags).info.run_id
            params = {"problem": "penguins", "loss.name": loss, "seed": seed, "training.epochs": 2}
            for key, value in params.items() | {f"loss.weights.{head}": 1.0 for head in PENGUINS[:3]}.items():
                client.log_param(run_id, key, value)
            values = dict.fromkeys(PENGUINS, 0.5 + gain + 0.01 * seed)
            for name, value in values.items():
                client.log_metric(run_id, f"test/{name}", value)
            steps = {name: np.linspace(2, 1, 10) - gain for name in ("loss", *PENGUINS[:3])}
            norms = {"grad_norm": np.ones(5), "trunk": np.ones(5)}
            at = [(epoch, 10 * epoch, 10 * epoch + np.arange(0, 10, 2)) for epoch in range(2)]
            results = [EpochResult(n, first, steps, {}, values, 0.5, measured, norms) for n, first, measured in at]
            save_curves(results, tmp_path / "curves.npz")
            client.log_artifact(run_id, str(tmp_path / "curves.npz"))
            client.set_terminated(run_id)
    assert main([f"tracking.uri={uri}", f"output={tmp_path / 'out'}"]) == 0
    assert "split has better species accuracy, +10.00 points" in " ".join(capsys.readouterr().out.split())
    figures = {path.stem for path in (tmp_path / "out/figures").iterdir()}
    assert figures == {"learning_curves", "final_metrics", "gradient_norms"}
    page = (tmp_path / "out/report.html").read_text()
    assert "data penguins" in page
    assert "mass mae" in page
