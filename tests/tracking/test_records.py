from omegaconf import OmegaConf

from jointdec.tracking.environment import GitState
from jointdec.tracking.records import added, config_files, environment_files, flat, with_added


def test_parameters_are_dotted_and_spelt_as_overrides(make_config):
    values = flat(make_config(uri=None))
    expected = {
        "model.alpha": "0.2",
        "model.tower": "[128, 256]",
        "model.mixing": "true",
        "loss.weights.edges": "2.0",
        "optimizer.epsilon": "1e-08",
        "tracking.uri": "null",
        "data.name": "gaussian",
        "seed": "7",
    }
    assert {key: values[key] for key in expected} == expected


def test_no_file_and_no_parameter_holds_the_store_s_password(make_config):
    config = make_config(uri="http://ana:hunter22@host:5000")
    files = config_files(config, [f"tracking.uri={config.tracking.uri}"])
    assert "hunter22" not in "".join([*files.values(), *flat(config).values()])


def test_overrides_are_kept_as_typed(make_config):
    typed = ["+experiment=split_loss", "model.alpha=0.1"]
    assert OmegaConf.create(config_files(make_config(), typed)["config/overrides.yaml"]) == typed


def test_a_diff_is_a_file_only_when_there_is_one(make_config):
    assert "environment/git.diff" not in environment_files(GitState("c0ffee", ""))
    assert environment_files(GitState("c0ffee", "+x"))["environment/git.diff"] == "+x"


def test_an_older_configuration_gets_the_keys_that_came_later_and_a_user_s_own_model_none():
    older = {"loss.name": "split", "model.name": "two_tower", "training.epochs": 2}
    assert with_added(older).items() >= {"problem": "molecules", **added("molecules")}.items()
    own = {"loss": "mse", "model.name": "house"}
    assert with_added(own) == own
