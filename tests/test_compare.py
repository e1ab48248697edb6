"""``jointdec.compare`` on recorded runs: real MLflow, made-up curves, so that every number is known."""

import csv
from html.parser import HTMLParser

import numpy as np
import pytest
from mlflow import MlflowClient

from jointdec.compare import main
from jointdec.problems.molecules.pictures import save_decoded
from jointdec.reporting import load_curves, load_runs
from jointdec.reporting.curve_arrays import save_curves
from jointdec.tracking import open_tracker
from jointdec.training.result import EpochResult

HEADS = ("nodes", "edges", "node_accuracy", "edge_accuracy", "exact")
GAIN = {"joint": 0.0, "split": 0.1, "answer": -0.1}


def epochs_of(gain, seed, diverged_at):
    """Two epochs of 10 steps; the last loss of a run that diverged is NaN."""
    results = []
    for epoch in range(2):
        losses = 2.0 - 0.05 * (10 * epoch + np.arange(10)) - gain + 0.01 * seed
        steps = {name: losses.copy() for name in ("loss", "nodes", "edges")}
        val = dict.fromkeys((*HEADS, "loss"), 0.5 + gain + 0.01 * seed + 0.1 * epoch)
        measured = 10 * epoch + np.arange(0, 10, 2)
        norms = {"grad_norm": losses[::2], "nodes_1": losses[::2], "edges_1": 2 * losses[::2]}
        if diverged_at is not None and epoch:
            steps["loss"][-1] = np.nan
        at = diverged_at if epoch else None
        results.append(EpochResult(epoch, 10 * epoch, steps, {"loss": 1.0}, val, 0.5, measured, norms, at))
    return results


def record_run(folder, config, gain, diverged_at=None, curves=True):
    folder.mkdir()
    with open_tracker(config, folder, []) as tracker:
        results = epochs_of(gain, config.seed, diverged_at)
        for result in results:
            tracker.log_epoch(result)
        tracker.set_tags({"jointdec.data_digest": "digest", "jointdec.devices": "CPU"})
        if curves:
            save_curves(results, folder / "curves.npz")
            tracker.log_artifact(folder / "curves.npz")
        if diverged_at is None:
            tracker.log_metrics({f"test/{name}": 0.5 + gain + 0.01 * config.seed for name in HEADS})
            nodes, edges = np.array([[0, 0, 1, *[4] * 6]], np.uint8), np.zeros((1, 9, 9), np.uint8)
            edges[0, 0, 1] = edges[0, 1, 0] = edges[0, 1, 2] = edges[0, 2, 1] = 1
            save_decoded(["CCO"], (nodes, edges), (nodes, edges), folder / "decoded.npz")
            tracker.log_artifact(folder / "decoded.npz")
        else:
            tracker.set_tags({"jointdec.divergence.step": diverged_at})
        tracker.finish("finished" if diverged_at is None else "diverged")
    return tracker.run_id


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_config):
    """joint and split with three seeds, of which one of split's diverged; another experiment with a lonely run."""
    folder = tmp_path_factory.mktemp("store")
    uri = f"tracking.uri=sqlite:///{folder / 'mlflow.db'}"
    ids = {}
    for loss in ("joint", "split"):
        for seed in range(3):
            config = make_config(f"loss={loss}", f"seed={seed}", uri)
            at = 19 if (loss, seed) == ("split", 2) else None
            ids[loss, seed] = record_run(folder / f"{loss}{seed}", config, GAIN[loss], at)
    lonely = make_config(uri, "tracking.experiment=lonely")
    ids["lonely"] = record_run(folder / "lonely", lonely, 0.0, curves=False)
    return uri, folder, ids


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.images, self.addresses, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "img":
            self.images.append(attributes)
        self.addresses += [value for key, value in attributes.items() if key in ("src", "href")]

    def handle_data(self, data):
        self.text += data


@pytest.mark.slow
def test_a_comparison_leaves_table_figures_page_and_a_run_that_links_to_its_sources(store, tmp_path, capsys):
    uri, _, ids = store
    assert main([uri, f"output={tmp_path / 'out'}"]) == 0
    out = capsys.readouterr().out
    assert "split has better molecules exact, +10.00 points" in out
    assert "split: 1 of 3 runs diverged (at step 19)" in out

    with (tmp_path / "out/table.csv").open() as file:
        rows = {(row["group"], row["metric"]): row for row in csv.DictReader(file)}
    row = rows["split", "test/exact"]
    assert (row["n"], row["diverged"], row["pairs"]) == ("2", "1", "2")
    assert float(row["mean"]) == pytest.approx(0.605)
    assert float(row["difference"]) == pytest.approx(0.1)
    assert float(rows["joint", "test/exact"]["mean"]) == pytest.approx(0.51)

    names = ("learning_curves", "final_metrics", "pareto", "gradient_norms")
    figures = {path.name for path in (tmp_path / "out/figures").iterdir()}
    assert figures == {f"{name}.{kind}" for name in names for kind in ("png", "svg")} | {"molecules.png"}

    page = Page((tmp_path / "out/report.html").read_text())
    assert len(page.images) == 5
    assert all(len(image["alt"]) > 40 for image in page.images)
    assert all(address.startswith("data:image/") for address in page.addresses)  # nothing is fetched
    assert "split has better molecules exact" in page.text

    client = MlflowClient(uri.partition("=")[2])
    experiment = client.get_experiment_by_name("jointdec")
    run = client.search_runs([experiment.experiment_id], "tags.`jointdec.comparison` = 'loss'")[0]
    assert run.info.status == "FINISHED"
    for key, run_id in ids.items():
        assert (f"/runs/{run_id})" in run.data.tags["mlflow.note.content"]) == (key != "lonely")
    kept = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert kept == {"report.html", "table.csv", "sources.csv", "figures"}
    assert "mlflow.sharedViewState.jointdec" in experiment.tags

    assert main([uri, f"output={tmp_path / 'again'}"]) == 0  # a comparison is not compared
    assert (tmp_path / "again/table.csv").read_text() == (tmp_path / "out/table.csv").read_text()


def test_one_run_without_curves_still_gives_its_table_and_says_what_is_missing(store, tmp_path, capsys):
    uri, _, ids = store
    assert main([uri, "tracking.experiment=lonely", f"output={tmp_path}"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "There is one group only, joint" in out
    assert "one seed only, so no interval can be given" in out
    assert f"1 run left no curves.npz ({ids['lonely']})" in out
    assert not (tmp_path / "figures/learning_curves.png").exists()


@pytest.mark.slow
def test_runs_can_be_named_and_of_these_the_molecules_that_are_drawn(store, tmp_path):
    uri, _, ids = store
    chosen = [ids["joint", 0], ids["joint", 1], ids["split", 0], ids["split", 1]]
    arguments = [f"runs=[{','.join(chosen)}]", f"molecules=[{ids['split', 1]}]"]
    assert main([uri, *arguments, f"output={tmp_path}"]) == 0
    sources = (tmp_path / "sources.csv").read_text()
    assert all(run_id in sources for run_id in chosen)
    assert ids["joint", 2] not in sources
    assert "split, seed 1" in Page((tmp_path / "report.html").read_text()).text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tracking.experiment=jointdek"], "no experiment 'jointdek' (did you mean 'jointdec'?)"),
        (['filter=params.`loss.name` = "mse"'], "No trained run fits filter"),
        (["filter=loss is split"], "MLflow cannot search for filter 'loss is split'"),
        (
            ["by=lss"],
            "No run has the configuration key 'lss' (did you mean 'loss'?)",
        ),
        (["by=model"], "they differ in loss.name (joint, split)"),
        (["runs=[nobody]"], "There is no trained run 'nobody'"),
        (["molecules=[nobody]"], "pictures has 'nobody', which is not among the runs compared"),
        (["multirun=nowhere"], "multirun is 'nowhere', but there is no such folder"),
        (["multirun=last"], "There is no multirun in"),
        (["tracking.uri=sqlite:////nowhere/mlflow.db"], "there is no such file"),
        (["tracking.uri=http://127.0.0.1:9"], "no MLflow server answers there"),
        (["output=/dev/null/x"], "output is '/dev/null/x', which cannot be written"),
        (["output=."], "output is '.', which is not an empty folder"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence_and_exit_code_2(store, folder, capsys, arguments, said):
    assert main([store[0], *arguments]) == 2
    error = capsys.readouterr().err
    assert said in " ".join(error.split())
    assert error.startswith("jointdec: ")
    assert "Traceback" not in error
    assert not (folder / "comparisons").exists()


def test_load_runs_gives_a_row_a_run_with_typed_configuration_and_metrics(store):
    uri, _, ids = store
    runs = load_runs(uri.partition("=")[2]).set_index("run_id")
    assert set(runs.index) == {run_id for key, run_id in ids.items() if key != "lonely"}
    row = runs.loc[ids["split", 1]]
    assert (row["loss.name"], row["seed"], row["model.alpha"], row["training.jit"]) == ("split", 1, 0.2, True)
    assert row["test/exact"] == pytest.approx(0.61)
    assert row["outcome"] == "finished"
    assert runs.loc[ids["split", 2], "divergence.step"] == 19
    assert runs["started"].is_monotonic_increasing


def test_runs_from_before_a_key_have_what_all_runs_did_then(store):
    uri = store[0].partition("=")[2]
    client = MlflowClient(uri)
    row = load_runs(uri).iloc[0]
    run = client.get_run(row["run_id"]).data
    earlier = client.create_run(client.create_experiment("earlier"), tags=run.tags)
    kept = run.params.items()
    for key, value in kept:
        if key not in ("model.initializer", "training.reshuffle"):
            client.log_param(earlier.info.run_id, key, value)
    old = load_runs(uri, run_ids=[earlier.info.run_id]).iloc[0]
    assert (old["model.initializer"], old["training.reshuffle"]) == ("glorot_normal", True)
    assert old[[key for key, _ in kept]].tolist() == row[[key for key, _ in kept]].tolist()


def test_load_curves_gives_every_step_to_the_last_bit_and_runs_without_curves_no_rows(store):
    uri, _, ids = store
    runs = load_runs(uri.partition("=")[2], run_ids=[ids["split", 2], ids["lonely"]])
    curves = load_curves(runs, ["step/loss", "val/exact", "layer/edges_1"], uri.partition("=")[2])
    assert set(curves["run_id"]) == {ids["split", 2]}
    loss = curves[curves["name"] == "step/loss"]
    expected = np.concatenate([result.steps["loss"] for result in epochs_of(GAIN["split"], 2, 19)])
    assert loss["at"].tolist() == list(range(20))
    np.testing.assert_array_equal(loss["value"], expected)  # the NaN at the end included
    assert curves[curves["name"] == "val/exact"]["at"].tolist() == [0, 1]
    assert curves[curves["name"] == "layer/edges_1"]["at"].tolist() == list(range(0, 20, 2))


def test_load_runs_of_an_empty_experiment_is_an_empty_table(store):
    uri, _, _ = store
    client = MlflowClient(uri.partition("=")[2])
    client.create_experiment("empty")
    assert load_runs(uri.partition("=")[2], "empty").empty
