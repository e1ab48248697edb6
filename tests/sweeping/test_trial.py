"""Whole trials in this process: a real journal, a real training, and what the study is told."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from optuna.trial import TrialState

from jointdec.interrupt import StopRequest
from jointdec.objective.formulation import make_formulation
from jointdec.sweeping.plan import make_plan
from jointdec.sweeping.points import Points
from jointdec.sweeping.storage import open_storage
from jointdec.sweeping.study import add_places, define, load_study, make_pruner, open_study, take
from jointdec.sweeping.trial import KEPT, Programs, Trials, tell
from jointdec.training import make_training
from jointdec.training.epochs import Trained

TINY = ["loss=split", "tracking=none", "model.tower=[8]", "training.epochs=4", "training.batch_size=6"]


@pytest.fixture
def run_trials(folder):
    """Runs all trials of a study; the study, and what it was told of each."""

    def run(*overrides, stop=None):
        plan = make_plan([*TINY, "data.path=molecules.smi", "sweep.name=s", *overrides])
        storage, configure = open_storage(plan.storage), Points(plan.fixed)
        open_study(storage, "s", define(plan.settings, plan.space, plan.base, []), plan.settings.direction)
        study = load_study(storage, "s", pruner=make_pruner(plan.settings.pruner, plan.epochs))
        add_places(study, plan.settings, plan.space)
        trials, told = Trials(plan, None, stop or StopRequest("")), []
        while taken := take(study, storage):
            trial = taken[0]
            config = configure({dimension.key: dimension.suggest(trial) for dimension in plan.space})
            told.append(trials.run(trial, config, []))
            if told[-1] is None:
                break
            study.tell(trial, told[-1].values, told[-1].state)
        return study, told

    return run


def summary(number):
    return json.loads(Path("sweeps/s/trials", f"{number:05}", "summary.json").read_text())


def test_a_trial_is_told_the_last_epochs_metrics_and_each_epoch_is_reported(run_trials):
    study, told = run_trials("model.alpha=0.1,0.3", "sweep.sampler=grid", "sweep.objective=val/nodes")
    for number, one in enumerate(told):
        assert one.state == TrialState.COMPLETE
        assert one.values == [summary(number)["last"]["val/nodes"]]
        reported = study.trials[number].intermediate_values
        assert list(reported) == [1, 2, 3, 4]
        assert reported[4] == one.values[0]
    assert told[0].values != told[1].values


@pytest.mark.slow
def test_a_trial_that_diverges_fails_with_its_cause_and_the_next_one_is_sound(run_trials):
    rates = "optimizer.learning_rate=1e30,1e-3"
    study, told = run_trials(rates, "sweep.sampler=grid", "sweep.objective=val/nodes")
    assert [one.state for one in told] == [TrialState.FAIL, TrialState.COMPLETE]
    assert told[0].values is None
    found = summary(0)["divergence"]
    assert told[0].cause.startswith(f"{found['cause']}: in step {found['step']};")
    assert all(math.isfinite(value) for value in study.trials[0].intermediate_values.values())
    assert summary(1)["outcome"] == "finished"


@pytest.mark.slow
def test_a_penalty_takes_the_place_of_a_diverged_trials_failure(run_trials):
    study, told = run_trials(
        "optimizer.learning_rate=1e30,1e-3", "sweep.sampler=grid", "sweep.objective=val/nodes", "sweep.penalty=1e9"
    )
    assert (told[0].state, list(told[0].values)) == (TrialState.COMPLETE, [1e9])
    assert told[0].cause
    assert study.best_trial.number == 1


@pytest.mark.slow
def test_generated_molecules_are_judged_when_they_are_an_objective(run_trials):
    study, told = run_trials(
        "model.alpha=0.1,0.3", "sweep.sampler=grid", "sweep.objective=[generate/validity,val/nodes]"
    )
    assert all(one.state == TrialState.COMPLETE and 0 <= one.values[0] <= 1 for one in told)
    assert summary(0)["final"]["generate/validity"] == told[0].values[0]
    assert len(study.best_trials) >= 1


@pytest.mark.slow
def test_the_pruner_ends_a_trial_between_two_epochs(run_trials, monkeypatch):
    asked = []
    monkeypatch.setattr("optuna.trial.Trial.should_prune", lambda trial: asked.append(trial) or len(asked) == 2)
    _, told = run_trials("model.alpha=0.1,0.3", "sweep.sampler=grid", "sweep.objective=val/nodes")
    assert told[0].state == TrialState.PRUNED
    assert (summary(0)["outcome"], summary(0)["epochs"]) == ("pruned", 2)


@pytest.mark.slow
def test_a_request_to_stop_ends_the_trial_after_its_epoch_and_tells_the_study_nothing(run_trials):
    stop = StopRequest("")
    stop.made = True
    _, told = run_trials("model.alpha=0.1,0.3", "sweep.sampler=grid", stop=stop)
    assert told == [None]
    assert (summary(0)["outcome"], summary(0)["epochs"]) == ("interrupted", 1)


def test_a_validation_metric_that_is_not_finite_never_gets_into_the_study():
    settings = make_plan([*TINY, "model.alpha=0.1,0.3", "sweep.objective=val/nodes"]).settings
    epoch = SimpleNamespace(train={"loss": 1.0}, val={"nodes": math.inf}, ms_per_step=1.0)
    told = tell(settings, Trained(None, [epoch], "finished"), {}, None)
    assert (told.state, told.values) == (TrialState.FAIL, None)
    assert "val/nodes is inf" in told.cause


SMALL = ("model.tower=[8]", "training.batch_size=10")


@pytest.fixture
def programs(make_dataset, monkeypatch):
    monkeypatch.setattr("jointdec.problems.molecules.Molecules.load", lambda *_: make_dataset(23))
    return Programs()


def final_weights(training, formulation):
    for epoch in range(2):
        training.run_epoch(epoch)
    return formulation.get_weights()


@pytest.mark.slow
def test_trials_that_differ_in_live_values_share_one_compilation_and_train_as_runs_do(
    programs, make_config, make_dataset
):
    for overrides in (
        ["loss.weights.edges=0.5"],
        ["loss.weights.nodes=3", "model.alpha=0.01", "seed=4"],
        ["optimizer.learning_rate=0.1", "optimizer.epsilon=0.1", "training.epochs=7"],
    ):
        config = make_config("loss=split", *SMALL, *overrides)
        program = programs.get(config)
        formulation = make_formulation(config)
        fresh = final_weights(make_training(config, formulation, make_dataset(23)), formulation)
        for name, value in final_weights(program.training, program.formulation).items():
            np.testing.assert_array_equal(value, fresh[name], err_msg=name)
    assert programs.compiled == 1


@pytest.mark.slow
def test_what_is_not_live_is_compiled_anew(programs, make_config):
    for overrides in (["loss=joint"], ["loss=split"], ["loss=split", "training.batch_size=5"]):
        programs.get(make_config(*SMALL, "training.jit=false", *overrides))
    programs.get(make_config(*SMALL, "training.jit=false", "loss=split", "model.alpha=0"))
    assert programs.compiled == 3


@pytest.mark.slow
def test_loops_without_live_values_are_made_for_every_trial(programs, make_config):
    for alpha in (0.1, 0.2):
        for overrides in (["training=fit"], ["loss=tf1_graph"]):
            config = make_config(*SMALL, f"model.alpha={alpha}", *overrides)
            program = programs.get(config)
            assert np.isfinite(program.training.run_epoch(0).train["loss"])
    assert programs.compiled == 4


@pytest.mark.slow
def test_only_so_many_programs_are_kept(programs, make_config):
    sizes = range(3, 3 + KEPT + 1)
    for size in sizes:
        programs.get(make_config("loss=tf_native", "model.tower=[8]", f"training.batch_size={size}"))
    programs.get(make_config("loss=tf_native", "model.tower=[8]", f"training.batch_size={sizes[-1]}"))
    assert programs.compiled == len(sizes)
    programs.get(make_config("loss=tf_native", "model.tower=[8]", f"training.batch_size={sizes[0]}"))
    assert programs.compiled == len(sizes) + 1
