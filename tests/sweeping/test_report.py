import yaml

from jointdec.sweeping.report import experiment_file, run_command


def test_the_command_shows_every_value_in_full_and_no_password():
    point = {"loss": "split", "loss.weights.edges": 0.1 + 0.2, "model.tower": "[8,16]", "training.jit": True}
    command = run_command(["tracking.uri=http://ana:hunter2@host:5000", "seed=3"], point)
    assert command == (
        "python -m jointdec.run 'tracking.uri=http://***@host:5000' seed=3 loss=split "
        "loss.weights.edges=0.30000000000000004 'model.tower=[8,16]' training.jit=true"
    )


def test_the_file_chooses_the_groups_options_and_says_nothing_of_where_to_record(make_config):
    config = make_config("loss=split", "model=scat", "optimizer=sgd", "tracking.uri=http://ana:hunter2@host:5000")
    text = experiment_file(config, "python -m …")
    assert text.startswith("# @package _global_\n# python -m …\n")
    assert "hunter2" not in text
    values = yaml.safe_load(text)
    chosen = {key: option for entry in values["defaults"] for key, option in entry.items()}
    assert chosen["override /loss"] == "split"
    assert chosen["override /model"] == "scat"
    assert chosen["override /optimizer"] == "sgd"
    assert "tracking" not in values
    assert values["optimizer"] == {"name": "sgd", "learning_rate": 0.1}
