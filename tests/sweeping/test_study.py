"""Places of trials in a real journal file. A dead worker is a process that is really gone."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from optuna.trial import TrialState

from jointdec.errors import UserError
from jointdec.problems import find
from jointdec.sweeping.plan import parse_settings
from jointdec.sweeping.points import Points, take_apart
from jointdec.sweeping.space import corners, make_space
from jointdec.sweeping.storage import open_storage, storage_uri
from jointdec.sweeping.study import (
    CAUSE,
    SEEN,
    WORKER,
    add_places,
    define,
    give_back,
    give_back_dead,
    load_study,
    make_lost_places_again,
    make_sampler,
    open_study,
    register_session,
    repeated,
    take,
)
from jointdec.tracking.environment import HOST, PID, STARTED, host, process_tags


@pytest.fixture
def uri(tmp_path):
    return storage_uri(None, tmp_path)


def begin(uri, *overrides, name="s"):
    """What the command does before its workers start: storage, study, places."""
    request = take_apart(overrides)
    settings, configure = parse_settings(request.settings, find(request.problem)), Points(request.fixed)
    space = make_space(request.searched, configure)
    storage = open_storage(uri)
    definition = define(settings, space, corners(space, configure)[0], ["digest"])
    open_study(storage, name, definition, settings.direction)
    study = load_study(storage, name)
    return storage, study, add_places(study, settings, space)


def states(study):
    return [trial.state for trial in study.get_trials()]


def test_a_study_has_as_many_places_as_trials_are_wanted_and_more_when_more_are(uri):
    _, study, places = begin(uri, "+search=alpha", "sweep.n_trials=3")
    assert (places, states(study)) == (3, [TrialState.WAITING] * 3)
    assert begin(uri, "+search=alpha", "sweep.n_trials=3")[2] == 3
    assert begin(uri, "+search=alpha", "sweep.n_trials=5")[2] == 5
    assert begin(uri, "+search=alpha", "sweep.n_trials=2")[2] == 5


def test_many_who_ask_at_once_get_every_place_once(uri):
    begin(uri, "+search=alpha", "sweep.n_trials=20")

    def take_all(_):
        storage = open_storage(uri)  # of its own, as a process has
        study, taken = load_study(storage, "s"), []
        while got := take(study, storage):
            taken.append(got[0].number)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [number for numbers in pool.map(take_all, range(4)) for number in numbers]
    assert sorted(taken) == list(range(20))


def test_the_places_of_a_grid_are_its_points(uri):
    storage, study, places = begin(uri, "model.alpha=0.1,0.2", "seed=0,1,2", "sweep.sampler=grid")
    assert places == 6
    points = set()
    while got := take(study, storage):
        alpha = got[0].suggest_categorical("model.alpha", [0.1, 0.2])
        points.add((alpha, got[0].suggest_categorical("seed", [0, 1, 2])))
    assert points == {(alpha, seed) for alpha in (0.1, 0.2) for seed in (0, 1, 2)}


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["model.alpha=interval(0,0.4)"], r"search model.alpha was interval\(0.0,0.5\) and is interval\(0.0,0.4\)"),
        (["+search=alpha", "training.epochs=3"], "training.epochs was 20 and is 3"),
        (["+search=alpha", "sweep.objective=val/nodes"], "sweep.objective was val/exact and is val/nodes"),
        (["+search=loss_weights_and_alpha"], "search loss.weights.edges was absent"),
    ],
)
def test_another_study_of_the_same_name_is_refused_and_told_apart(uri, overrides, told):
    begin(uri, "+search=alpha")
    with pytest.raises(UserError, match=told):
        begin(uri, *overrides)


def test_a_study_from_before_a_key_goes_on_with_what_all_trials_did_then(uri, monkeypatch):
    now = define

    def earlier(*arguments):
        later = ("model.initializer", "training.reshuffle")
        return {key: value for key, value in now(*arguments).items() if key not in later}

    with monkeypatch.context() as patched:
        patched.setitem(begin.__globals__, "define", earlier)
        begin(uri, "+search=alpha")
    begin(uri, "+search=alpha")
    with pytest.raises(UserError, match=r"training\.reshuffle was true and is false"):
        begin(uri, "+search=alpha", "training.reshuffle=false")


def test_where_a_trial_is_recorded_and_by_how_many_workers_does_not_define_a_study(uri):
    begin(uri, "+search=alpha")
    begin(uri, "+search=alpha", "tracking=none", "sweep.workers=7")


def test_a_study_of_somebody_else_is_refused(uri):
    optuna.create_study(study_name="s", storage=open_storage(uri))
    with pytest.raises(UserError, match="not jointdec's"):
        begin(uri, "+search=alpha")


def test_the_trial_of_a_dead_worker_is_run_again_once_with_the_same_point(uri):
    storage, study, _ = begin(uri, "+search=alpha", "sweep.n_trials=1")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    alphas = []
    for number in range(2):
        trial, _ = take(study, storage)
        assert trial.number == number
        alphas.append(trial.suggest_float("model.alpha", 0, 0.5))
        trial.set_user_attr(WORKER, {HOST: host(), PID: str(gone.pid), STARTED: f"{time.time():.2f}"})
        (dead,) = give_back_dead(study, storage, "its worker died", died=True)
        assert dead.number == number
    assert alphas[0] == alphas[1]
    assert states(study) == [TrialState.FAIL] * 2  # the second death was one too many
    assert repeated(study.get_trials()) == {0}
    assert study.trials[1].user_attrs[CAUSE] == "its worker died"


def test_the_trial_of_a_living_worker_is_left_alone(uri):
    storage, study, _ = begin(uri, "+search=alpha", "sweep.n_trials=1")
    trial, _ = take(study, storage)
    trial.set_user_attr(WORKER, process_tags())
    assert give_back_dead(study, storage, "its worker died", died=True) == []
    assert states(study) == [TrialState.RUNNING]


@pytest.mark.parametrize(("silent", "gone"), [(10, 0), (1000, 1)])
def test_a_worker_elsewhere_lives_as_long_as_it_gives_signs(uri, silent, gone):
    storage, study, _ = begin(uri, "+search=alpha", "sweep.n_trials=1")
    trial, _ = take(study, storage)
    trial.set_user_attr(WORKER, {**process_tags(), HOST: "elsewhere"})
    trial.set_user_attr(SEEN, time.time() - silent)
    assert len(give_back_dead(study, storage, "its worker died", died=True)) == gone


def test_a_trial_whose_worker_died_before_it_said_who_it_was_is_run_again_after_a_while(uri, monkeypatch):
    storage, study, _ = begin(uri, "+search=alpha", "sweep.n_trials=1")
    take(study, storage)
    assert give_back_dead(study, storage, "its worker died", died=True) == []
    monkeypatch.setattr("jointdec.sweeping.study.NAMELESS_SECONDS", 0)
    assert len(give_back_dead(study, storage, "its worker died", died=True)) == 1
    assert states(study) == [TrialState.FAIL, TrialState.WAITING]


def test_a_place_that_a_killed_command_had_no_time_to_make_again_is_made_at_the_next_start_once(uri, monkeypatch):
    storage, study, _ = begin(uri, "+search=alpha", "sweep.n_trials=1")
    _, trial_id = take(study, storage)
    with monkeypatch.context() as patch:
        patch.setattr("jointdec.sweeping.study._make_place_again", lambda study, trial: None)  # killed just before
        give_back(study, storage, storage.get_trial(trial_id), "interrupted", died=False)
    assert states(study) == [TrialState.FAIL]
    for _ in range(2):
        make_lost_places_again(study)
        assert states(study) == [TrialState.FAIL, TrialState.WAITING]


def test_an_interrupted_trial_is_run_again_however_often(uri):
    storage, study, _ = begin(uri, "+search=alpha", "sweep.n_trials=1")
    for _ in range(4):
        _, trial_id = take(study, storage)
        give_back(study, storage, storage.get_trial(trial_id), "interrupted", died=False)
    assert states(study) == [TrialState.FAIL] * 4 + [TrialState.WAITING]


def test_sequential_studies_propose_the_same_and_one_that_goes_on_proposes_something_new(tmp_path):
    def alphas(folder):
        storage, study, _ = begin(storage_uri(None, tmp_path / folder), "+search=alpha", "sweep.n_trials=3")
        sampler = make_sampler("tpe", [*register_session(study, seed=0), 0])
        study, found = load_study(storage, "s", sampler), []
        for _ in range(3):
            trial, _ = take(study, storage)
            found.append(trial.suggest_float("model.alpha", 0, 0.5))
            study.tell(trial, found[-1])
        return found

    first = alphas("a")
    assert alphas("b") == first
    storage = open_storage(storage_uri(None, tmp_path / "a"))
    study = load_study(storage, "s")
    entropy = register_session(study, seed=0)
    study.enqueue_trial({})
    study = load_study(storage, "s", make_sampler("tpe", [*entropy, 0]))
    assert take(study, storage)[0].suggest_float("model.alpha", 0, 0.5) not in first
    recorded = [value["entropy"] for key, value in study.user_attrs.items() if key.startswith("jointdec.session")]
    assert sorted(recorded) == [[0, 0], [0, 1]]
