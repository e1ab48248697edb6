"""A configuration read back from a record: what it may say, and what overrides make of it."""

import contextlib
import sqlite3
from dataclasses import asdict, replace

import pytest
from omegaconf import OmegaConf

from jointdec.errors import UserError
from jointdec.tracking.recorded import read_run, recorded_config


@pytest.fixture
def config():
    from hydra import compose, initialize_config_dir

    from jointdec.config import conf_folder, parse

    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return parse(compose("config", overrides=["loss=answer", "loss.weights.edges=5", "model.alpha=0.1", "seed=3"]))


def text(config, **changes):
    values = asdict(config) | changes
    return OmegaConf.to_yaml(values)


def test_without_overrides_the_configuration_is_the_recorded_one(config):
    assert recorded_config(text(config), []) == config


def test_a_record_from_before_a_key_stands_for_what_all_runs_did_then_and_the_key_can_be_overridden(config):
    earlier = asdict(config)
    del earlier["model"]["initializer"], earlier["training"]["reshuffle"]
    record = OmegaConf.to_yaml(earlier)
    assert recorded_config(record, []) == config
    changed = recorded_config(record, ["model.initializer=he_normal", "training.reshuffle=false"])
    assert (changed.model.initializer, changed.training.reshuffle) == ("he_normal", False)


def test_another_option_keeps_the_recorded_values_that_it_has_too(config):
    changed = recorded_config(text(config), ["loss=split"])
    assert changed.loss.name == "split"
    assert changed.loss.specimen is None
    assert changed.loss.weights["edges"] == 5
    assert replace(changed, loss=config.loss) == config


def test_values_are_overridden_in_hydra_s_syntax(config):
    changed = recorded_config(
        text(config), ["optimizer.learning_rate=1e-4", "model.tower=[8,4]", "loss.weights.edges=1"]
    )
    assert (changed.optimizer.learning_rate, changed.model.tower, changed.loss.weights["edges"]) == (1e-4, [8, 4], 1)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["loss=spilt"], "did you mean 'split'"),
        (["loss.weight.edges=1"], "There is no key 'loss.weight.edges'"),
        (["optimizer.learning_rte=1"], "did you mean 'optimizer.learning_rate'"),
        (["optimizer.learning_rate=-1"], "must be above 0"),
        (["optimizer.learning_rate=interval(0,1)"], "takes only KEY=VALUE"),
        (["+new=1"], "takes only KEY=VALUE"),
        (["~loss"], "takes only KEY=VALUE"),
        (["loss="], "There is no option loss="),
        (["loss"], "overrides are GROUP=OPTION or KEY=VALUE"),
    ],
)
def test_a_wrong_override_is_one_sentence(config, overrides, sentence):
    with pytest.raises(UserError) as error:
        recorded_config(text(config), overrides)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"optimizer": {"name": "adam", "_target_": "os.system", "command": "true"}}, "_target_"),
        ({"callbacks": {"x": 1}}, "There is no key 'callbacks'"),
        ({"loss": {"name": "mine", "weights": {"nodes": 1, "edges": 1}}}, "must be one of joint"),
        ({"seed": "${oc.env:HOME}"}, "may hold no interpolation"),
        (
            {"tracking": {"name": "none", "uri": "${oc.env:PATH}"}},
            "tracking.uri",
        ),
    ],
)
def test_a_record_that_names_what_is_not_jointdec_s_is_refused(config, changes, sentence):
    with pytest.raises(UserError) as error:
        recorded_config(text(config, **changes), [])
    assert sentence in str(error.value)


@pytest.mark.parametrize("record", ["data: x", "- 1", "seed: [", "{}", "loss: 5\ndata: {name: gaussian}"])
def test_a_record_that_is_no_configuration_is_one_sentence(record):
    with pytest.raises(UserError) as error:
        recorded_config(record, [])
    assert "\n" not in str(error.value)


def test_an_override_with_an_interpolation_is_one_sentence(config):
    with pytest.raises(UserError):
        recorded_config(text(config), ["seed='${nope}'"])


def test_a_record_does_not_say_where_this_machine_caches(config):
    from jointdec.problems.molecules.config import Qm9Config

    data = {"name": "qm9", "cache": "/somewhere/else", "scattering": "diffusion", "normalization": "whiten"}
    assert recorded_config(text(config, data=data), []).data == Qm9Config(**data | {"cache": "~/.cache/jointdec"})
    assert recorded_config(text(config, data=data), ["data.cache=mine"]).data.cache == "mine"


def test_a_database_of_another_program_is_left_alone(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "theirs.db")) as database:
        database.execute("create table cats (name)")
        database.commit()
    before = (tmp_path / "theirs.db").read_bytes()
    with pytest.raises(UserError, match="MLflow has recorded nothing in it"):
        read_run(f"sqlite:///{tmp_path}/theirs.db", "0" * 32, tmp_path)
    assert (tmp_path / "theirs.db").read_bytes() == before


def test_a_python_object_in_a_record_is_refused_and_not_made(config, tmp_path):
    evil = f"seed: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n"
    with pytest.raises(UserError):
        recorded_config(evil, [])
    assert not (tmp_path / "made").exists()


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read_run(f"sqlite:///{tmp_path}/none.db", "0" * 32, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_not_there_is_one_sentence(store_uri, tmp_path):
    from jointdec.tracking.store import open_store

    open_store(store_uri, "some")
    with pytest.raises(UserError, match="There is no run '0000"):
        read_run(store_uri, "0" * 32, tmp_path)


def test_a_run_of_other_code_has_no_configuration(store_uri, tmp_path):
    from jointdec.tracking.store import open_store

    client, experiment = open_store(store_uri, "other code")
    run = client.create_run(experiment)
    with pytest.raises(UserError, match="no command of jointdec's made it"):
        _ = read_run(store_uri, run.info.run_id, tmp_path).config_text
