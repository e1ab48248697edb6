import pytest
from omegaconf import OmegaConf

from jointdec.config import conf_folder
from jointdec.errors import UserError
from jointdec.problems import find
from jointdec.sweeping.plan import parse_settings


def settings(**changes):
    return parse_settings(
        OmegaConf.to_container(OmegaConf.load(conf_folder() / "sweep/default.yaml")) | changes, find("molecules")
    )


def test_directions_follow_the_metrics_and_can_be_given():
    assert settings(objective=["val/exact", "val/edges", "generate/validity"]).direction == [
        "maximize",
        "minimize",
        "maximize",
    ]
    assert settings(objective="val/edges", direction="maximize").direction == ["maximize"]


def test_the_pruner_is_hyperband_where_every_epoch_has_the_one_objective():
    assert settings().pruner == "hyperband"
    assert settings(objective=["val/nodes", "val/edges"]).pruner == "none"
    assert settings(objective="generate/validity").pruner == "none"
    assert settings(sampler="grid").pruner == "none"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"workers": 0}, "sweep.workers is 0, but must be at least 1"),
        ({"n_trials": 0}, "sweep.n_trials is 0"),
        ({"trials": 3}, "did you mean 'sweep.n_trials'"),
        ({"objective": "val/acuracy"}, "which no trial records"),
        ({"objective": "step/loss"}, "which no trial records"),
        ({"objective": []}, "is empty"),
        ({"objective": "test/exact"}, "use val/exact"),
        ({"objective": ["val/exact", "val/exact"]}, "twice"),
        ({"objective": ["val/nodes", "val/edges"], "direction": "minimize"}, "give one for each"),
        ({"objective": ["val/nodes", "val/edges"], "pruner": "median"}, "use sweep.pruner=none"),
        ({"objective": "generate/novelty", "pruner": "hyperband"}, "use sweep.pruner=none"),
        ({"direction": "up"}, "one of minimize, maximize"),
        ({"pruner": "asha"}, "one of auto, hyperband, median, none"),
        ({"sampler": "gp"}, "one of tpe, random, grid"),
        ({"penalty": float("nan")}, "a finite number"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        settings(**changes)
