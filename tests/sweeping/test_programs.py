"""A trial in a program that is used again is the run of its configuration, to the last bit."""

import numpy as np
import pytest

from jointdec.objective.formulation import make_formulation
from jointdec.sweeping.programs import KEPT, Programs
from jointdec.training import make_training

TINY = ("model.tower=[8]", "training.batch_size=10")


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
        config = make_config("loss=split", *TINY, *overrides)
        program = programs.get(config)
        formulation = make_formulation(config)
        fresh = final_weights(make_training(config, formulation, make_dataset(23)), formulation)
        for name, value in final_weights(program.training, program.formulation).items():
            np.testing.assert_array_equal(value, fresh[name], err_msg=name)
    assert programs.compiled == 1


@pytest.mark.slow
def test_what_is_not_live_is_compiled_anew(programs, make_config):
    for overrides in (["loss=joint"], ["loss=split"], ["loss=split", "training.batch_size=5"]):
        programs.get(make_config(*TINY, "training.jit=false", *overrides))
    programs.get(make_config(*TINY, "training.jit=false", "loss=split", "model.alpha=0"))
    assert programs.compiled == 3


@pytest.mark.slow
def test_loops_without_live_values_are_made_for_every_trial(programs, make_config):
    for alpha in (0.1, 0.2):
        for overrides in (["training=fit"], ["loss=tf1_graph"]):
            config = make_config(*TINY, f"model.alpha={alpha}", *overrides)
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
