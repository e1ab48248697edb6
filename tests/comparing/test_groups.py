import pytest

from jointdec.comparing.groups import make_groups
from jointdec.errors import UserError


def three_losses(seeds=3):
    return [{"loss.name": loss, "seed": seed} for loss in ("split", "joint", "tf_native") for seed in range(seeds)]


def test_groups_come_in_the_order_in_which_they_started_and_runs_are_paired_by_seed(make_runs):
    groups = make_groups(make_runs(*three_losses()), ["loss"], [])
    assert [group.name for group in groups] == ["split", "joint", "tf_native"]
    assert [group.runs["pair"].tolist() for group in groups] == [[(0,), (1,), (2,)]] * 3


def test_several_keys_make_a_group_for_every_combination(make_runs):
    rows = [{"loss.name": loss, "model.alpha": alpha} for loss in ("split", "joint") for alpha in (0.1, 0.2)]
    groups = make_groups(make_runs(*rows), ["loss", "model.alpha"], [])
    assert [group.name for group in groups] == [
        "split, alpha=0.1",
        "split, alpha=0.2",
        "joint, alpha=0.1",
        "joint, alpha=0.2",
    ]


def test_what_belongs_to_a_named_group_of_the_configuration_may_differ_between_groups_of_runs(make_runs):
    rows = [{"loss.name": "split", "loss.weights.edges": 2.0}, {"loss.name": "mse", "loss.weights.edges": 1.0}]
    assert len(make_groups(make_runs(*rows), ["loss"], [])) == 2
    assert len(make_groups(make_runs(*rows), ["loss.name"], [])) == 2


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("training.epochs", 40, r"training.epochs \(4, 40\)"),
        ("data_digest", "d2", r"data_digest \(d1, d2\)"),
        ("model.alpha", 0.3, r"model.alpha \(0.2, 0.3\)"),
        ("loss.weights.edges", 5.0, None),  # it belongs to loss
    ],
)
def test_groups_that_differ_in_something_else_are_refused_by_its_name_and_values(make_runs, key, value, said):
    runs = make_runs({"loss.name": "split"}, {"loss.name": "joint", key: value})
    if said is None:
        assert len(make_groups(runs, ["loss"], [])) == 2
        return
    with pytest.raises(UserError, match=f"not comparable: besides loss they differ in {said}.*allow=\\[{key}\\]"):
        make_groups(runs, ["loss"], [])
    assert len(make_groups(runs, ["loss"], [key])) == 2


def test_a_group_that_mixes_configurations_is_refused(make_runs):
    runs = make_runs({"loss.weights.edges": 1.0}, {"loss.weights.edges": 2.0, "seed": 1})
    with pytest.raises(UserError, match=r"runs of joint are not comparable.*loss.weights.edges \(1.0, 2.0\)"):
        make_groups(runs, ["loss"], [])


def test_runs_that_lack_a_key_differ_from_those_that_have_it(make_runs):
    runs = make_runs({"loss.name": "split"}, {"loss.name": "joint", "model.new": 1})
    with pytest.raises(UserError, match=r"model.new \(none, 1.0\)"):
        make_groups(runs, ["loss"], [])


def test_data_decide_their_digest_so_comparing_data_allows_it(make_runs):
    rows = [{"data.normalization": kind, "data_digest": kind} for kind in ("whiten", "spherise")]
    assert len(make_groups(make_runs(*rows), ["data.normalization"], [])) == 2


def test_what_is_allowed_to_differ_is_part_of_a_pair_and_makes_no_repetition(make_runs):
    rows = [{"loss.name": loss, "model.alpha": alpha} for loss in ("split", "joint") for alpha in (0.1, 0.2)]
    split, joint = make_groups(make_runs(*rows), ["loss"], ["model.alpha"])
    assert split.runs["pair"].tolist() == joint.runs["pair"].tolist() == [(0, 0.1), (0, 0.2)]
    assert not split.left_out


def test_of_a_repeated_run_the_latest_counts_and_the_others_are_named(make_runs):
    (group,) = make_groups(make_runs({}, {}, {"seed": 1}), ["loss"], [])
    assert group.runs["run_id"].tolist() == ["run1", "run2"]
    assert group.left_out == {"repeated": ["run0"]}


def test_diverged_runs_are_kept_apart_and_others_counted_by_their_outcome(make_runs):
    rows = [{}, {"outcome": "diverged", "seed": 1, "divergence.step": 7}, {"outcome": "pruned", "seed": 2}]
    (group,) = make_groups(make_runs(*rows), ["loss"], [])
    assert group.runs["run_id"].tolist() == ["run0"]
    assert group.diverged["run_id"].tolist() == ["run1"]
    assert group.divergence_steps == [7]
    assert group.left_out == {"pruned": ["run2"]}


def test_a_specimen_that_went_nan_as_declared_diverged(make_runs):
    runs = make_runs({"outcome": "specimen_failed", "divergence.step": 0}, {"outcome": "specimen_failed", "seed": 1})
    (group,) = make_groups(runs, ["loss"], [])
    assert group.diverged["run_id"].tolist() == ["run0"]
    assert group.runs["run_id"].tolist() == ["run1"]


def test_runs_that_did_not_end_are_not_held_against_the_others(make_runs):
    runs = make_runs({}, {"outcome": "interrupted", "training.epochs": 400})
    assert len(make_groups(runs, ["loss"], [])) == 1


def test_nothing_that_ended_is_an_error_that_says_what_there_is(make_runs):
    with pytest.raises(UserError, match=r"1 running"):
        make_groups(make_runs({"outcome": "running"}), ["loss"], [])


@pytest.mark.parametrize("where", ["by", "allow"])
def test_an_unknown_key_is_refused_with_a_known_one(make_runs, where):
    given = {"by": ["loss"], "allow": []} | {where: ["model.alfa"]}
    with pytest.raises(UserError, match=r"'model.alfa' \(did you mean 'model.alpha'\?\)"):
        make_groups(make_runs({}), **given)


def test_runs_without_the_key_that_makes_the_groups_are_a_group_of_their_own(make_runs):
    groups = make_groups(make_runs({"model.new": 1.0}, {}), ["model.new"], [])
    assert [group.name for group in groups] == ["new=1.0", "new=none"]
