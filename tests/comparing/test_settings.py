import pytest

from jointdec.comparing.settings import Target, parse_request
from jointdec.errors import UserError


def test_by_default_runs_of_the_usual_experiment_are_compared_by_loss():
    request = parse_request([])
    assert request.settings.by == ["loss"]
    assert (request.uri, request.experiment) == (None, "jointdec")


def test_lists_and_single_values_mean_the_same():
    assert parse_request(["by=model"]).settings.by == parse_request(["by=[model]"]).settings.by == ["model"]
    assert parse_request(["by=[model,loss]", "runs=[1,2]"]).settings.runs == ["1", "2"]


def test_a_target_is_a_metric_and_a_number():
    assert parse_request(["target=val/exact:0.2"]).settings.goal == Target("val/exact", 0.2)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("bye=loss", r"no key 'bye' \(did you mean 'by'\?\)"),
        ("tracking.url=x", "did you mean 'tracking.uri'"),
        ("by=[]", "by is empty"),
        ("by=loss,model", r"by=loss,model: give it as KEY=VALUE, and several values as \[a,b\]"),
        ("target=val/exact", "target is 'val/exact', but must be"),
        ("target=test/exact:0.2", "target is 'test/exact:0.2', but must be"),
        ("target=val/exact:high", "must be a metric that every epoch has and a number"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(argument, said):
    with pytest.raises(UserError, match=said):
        parse_request([argument])


def test_two_ways_to_name_runs_exclude_each_other():
    with pytest.raises(UserError, match="runs and multirun"):
        parse_request(["runs=[a]", "multirun=last"])


def test_a_filter_is_mlflows_syntax_and_not_hydras():
    condition = 'params.`loss.name` = "split" and metrics.`test/exact` > 0.1'
    assert parse_request([f"filter={condition}"]).settings.filter == condition


def test_the_name_of_a_group_may_have_a_comma_and_a_folder_a_space():
    settings = parse_request(["baseline=two_tower, joint", "output=my folder (1)"]).settings
    assert (settings.baseline, settings.output) == ("two_tower, joint", "my folder (1)")


def test_pictures_of_runs_may_be_called_molecules_as_they_were():
    for given in ("molecules=a", "pictures=[a]"):
        assert parse_request([given]).settings.pictures == ["a"]
