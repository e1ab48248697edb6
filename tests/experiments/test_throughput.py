"""The throughput experiment: its numbers mean something only while all contenders compute the same."""

import csv
import math
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FOREIGN = Path(__file__).parents[2] / "experiments" / "throughput" / "foreign.py"
SCRIPT = Path(__file__).parents[2] / "experiments" / "throughput" / "throughput.py"
INSTALLED = ["compiled", "bare", "loop", "keras", "keras_xla", "tf1"]
INSTALLED += ["jax_step", "jax_scan"] if find_spec("jax") else []
INSTALLED += ["torch"] if find_spec("torch") else []


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    subprocess.run([sys.executable, str(SCRIPT), "--quick", "--results", str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def rows(results):
    with (results / "table.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_contenders_that_start_alike_and_see_the_same_batches_have_the_same_loss(rows):
    steps = [row for row in rows if row["question"] == "steps"]  # the others train on other molecules
    losses = {row["name"]: float(row["first_epoch_loss"]) for row in steps if row["first_epoch_loss"]}
    assert set(losses) >= set(INSTALLED)
    # at the start the logits are small: near the losses of an even guess, ln 5 for atoms and 36/81 ln 4 for bonds
    assert math.log(5) + 2 * 36 / 81 * math.log(4) > losses["compiled"] > 0
    assert losses == pytest.approx(dict.fromkeys(losses, losses["compiled"]), rel=2e-3)


@pytest.mark.slow
def test_every_contender_has_a_time_or_the_reason_why_there_is_none(rows):
    for row in rows:
        assert row["missing"] or float(row["lowest"]) <= float(row["median"]) <= float(row["highest"])
        assert row["missing"] or float(row["median"]) > 0
    assert {row["question"] for row in rows} == {"steps", "growth", "start", "memory"}


@pytest.mark.slow
def test_a_quick_measurement_writes_its_tables_and_figures_and_leaves_the_readme_alone(results):
    names = {"table.csv", "table.md", "machine.json", "steps.png", "growth.png"}
    assert {path.name for path in results.iterdir()} == names
    readme = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
    assert (results / "table.md").read_text(encoding="utf-8") not in readme


@pytest.fixture(scope="module")
def modules(import_from):
    names = ("rounds", "rows", "contender", "zoo.problem", "zoo.turns", "zoo.judged", "zoo.table")
    return {name.rpartition(".")[2]: module for name, module in vars(import_from("throughput", *names)).items()}


@pytest.fixture
def foreign_rows(modules):
    """Two models, two rounds: jointdec takes 1 ms a step, or 2; its first epoch ends 1 s after fit's, or 3."""

    def rows(**times):
        def row(question, name, values, reference=(), **more):
            unit = "s" if question == "start" else "ms/step"
            return modules["rows"].Row(question, name, unit, values, reference=reference, size=100, **more)

        made = []
        for model, ours, late in (("mlp", (1.0, 2.0), 1.0), ("lstm", (2.0, 2.0), 3.0)):
            others = {name: tuple(t * value for t in ours) for name, value in times[model].items()}
            made += [row("steps", name, values, ours, model=model) for name, values in others.items()]
            made.append(row("steps", "jointdec", ours, ours, model=model))
            made += [row("steps", name, (), model=model, missing="no jax") for name in ("torch_eager", "jax")]
            made += [row("start", "jointdec", (8.0 + late,), model=model), row("start", "fit", (8.0,), model=model)]
        made.append(row("streaming", "streamed", (4.0, 4.0), (3.0, 3.0), model="mlp"))
        return made

    return rows


FAST = {"fit": 21.0, "tuned": 4.0, "tuned_xla": 3.5}


def test_of_the_two_tuned_fits_the_faster_one_counts(modules, foreign_rows):
    rows = foreign_rows(mlp={"fit": 21.0, "tuned": 4.0, "tuned_xla": 2.5}, lstm=FAST)
    words = {verdict.aim: (verdict.measured, verdict.word) for verdict in modules["judged"].verdicts(rows)}
    assert words["mlp: fit with defaults, x jointdec.fit"] == (21.0, "pass")
    assert words["mlp: the faster tuned fit, x jointdec.fit"] == (2.5, "FAIL")
    assert not any(aim.startswith("lstm:") for aim in words)  # no small model


def test_never_slower_is_judged_where_a_fit_comes_closest(modules, foreign_rows):
    rows = foreign_rows(mlp=FAST, lstm={"fit": 1.5, "tuned": 0.9, "tuned_xla": 1.2})
    verdict = next(v for v in modules["judged"].verdicts(rows) if v.aim.startswith("never slower"))
    assert verdict.aim.endswith("lstm, tuned")
    assert (verdict.measured, verdict.word) == (pytest.approx(0.9), "FAIL")


def test_first_epochs_are_judged_by_the_latest_and_streaming_by_its_share_of_the_speed(modules, foreign_rows):
    *_, start, streaming = modules["judged"].verdicts(foreign_rows(mlp=FAST, lstm=FAST))
    assert (start.aim.rpartition(" ")[2], start.measured, start.word) == ("lstm", 3.0, "FAIL")
    assert (streaming.measured, streaming.word) == (0.75, "FAIL")


def test_the_table_of_foreign_models_has_ratios_with_quartiles_or_what_is_missing(modules, foreign_rows):
    rows = foreign_rows(mlp=FAST, lstm=FAST)
    here = {"cpu": "a", "cores": 1, "memory_gib": 1, "accelerators": [], "python": "3", "versions": {}}
    text = modules["table"].markdown(rows, modules["judged"].verdicts(rows), here)
    assert "| mlp | 1.500 (1.250 to 1.750) | 21.00 (21.00 to 21.00) | 4.00 (4.00 to 4.00) | **3.50** (" in text
    assert "| no jax |" in text
    assert "| mlp, 100 rows | 3.000 | 4.000 | 0.75 (0.75 to 0.75) |" in text
    cells = modules["table"].cells(next(row for row in rows if row.name == "fit"))
    assert (cells["median"], cells["ratio"], cells["ratio_upper_quartile"]) == ("31.5", "21", "21")


def test_contenders_whose_losses_differ_are_not_reported(modules):
    measured = {name: [modules["contender"].Round(1.0, loss)] for name, loss in {"a": 1.0, "b": 1.01}.items()}
    modules["rounds"].demand_agreement(measured | {"c": "is missing"}, ["a", "b", "c"], 0.02)
    with pytest.raises(SystemExit, match=r"don't train alike.*'b': 1.01"):
        modules["rounds"].demand_agreement(measured, ["a", "b"], 0.005)
    measured["b"] = [modules["contender"].Round(1.0, math.nan)]
    with pytest.raises(SystemExit, match="don't train alike"):
        modules["rounds"].demand_agreement(measured, ["a", "b"], 0.005)


def test_fit_trains_an_epoch_only_when_its_turn_has_come(modules):
    trained = []

    def fit(turns):
        for epoch in range(3):
            turns.on_epoch_begin(epoch)
            trained.append(epoch)
            turns.on_epoch_end(epoch, {"loss": 5.0 - epoch})
        raise ValueError("out of epochs")

    contender = modules["turns"].in_turns(10, fit)
    assert trained == []
    assert [contender(number).loss for number in range(2)] == [5.0, 4.0]
    assert trained == [0, 1]
    with pytest.raises(ValueError, match="out of epochs"):
        contender(2)


@pytest.mark.slow
def test_the_twins_of_all_eight_models_train_alike_for_two_epochs(modules):
    names = ["fit", *(["torch_eager"] if find_spec("torch") else []), *(["jax"] if find_spec("jax") else [])]
    workers = {name: modules["rounds"].Worker(name) for name in names}
    losses = {}
    for model in modules["problem"].MODELS:
        for request in ({"model": model, "rows": 500}, {"epoch": 1}):
            for worker in workers.values():
                worker.ask(**request)
            losses[model, len(request)] = [worker.answer().loss for worker in workers.values()]
    for worker in workers.values():
        worker.close()
    for (model, _), theirs in losses.items():
        assert theirs == pytest.approx([theirs[0]] * len(theirs), rel=0.1 if model == "mlp_dropout" else 1e-3), model


@pytest.mark.slow
def test_a_quick_measurement_of_foreign_models_writes_its_table_and_leaves_the_readme_alone(tmp_path):
    readme = (FOREIGN.parent / "README.md").read_bytes()
    subprocess.run([sys.executable, str(FOREIGN), "--quick", "--results", str(tmp_path)], check=True)
    with (tmp_path / "foreign.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(row["missing"] or float(row["median"]) > 0 for row in rows)
    assert {row["contender"] for row in rows if row["question"] == "steps"} >= {"jointdec", "fit", "tuned", "tuned_xla"}
    assert {row["question"] for row in rows} == {"steps", "start", "streaming"}
    assert (FOREIGN.parent / "README.md").read_bytes() == readme
