"""The command line as a user has it: real processes."""

import os
import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "keras", "mlflow", "rdkit", "matplotlib")
IMPORTED = f"import sys; from jointdec import run; print([name for name in {HEAVY} if name in sys.modules])"


def run(folder, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "jointdec.run", *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["training.epoch=3"], "There is no key 'training.epoch' (did you mean 'training.epochs'?)"),
        (["training.epochs=-1"], "training.epochs is -1, but must be at least 1"),
        (["training.epochs=many"], "training.epochs: Value 'many'"),
        (["model.alpha=nan"], "model.alpha is nan, but must be a finite number"),
        (
            ["loss=splitt"],
            "There is no option loss=splitt (did you mean 'split'?); the options are answer, joint, joint_indexed,",
        ),
        (["losss=split"], "There is no key 'losss' (did you mean 'loss'?)"),
        (["+experiment=none"], "There is no option experiment=none"),
        (
            ["+experiment=source/anwser"],
            "no option experiment=source/anwser (did you mean 'source/answer'?); the options",
        ),
        (["nonsense"], "overrides are GROUP=OPTION or KEY=VALUE"),
        (["model.tower=[1"], "overrides are GROUP=OPTION or KEY=VALUE"),
        (["~training"], "The configuration has no 'training'"),
        (["hydra.run.dir=/proc/nowhere"], "/proc/nowhere cannot be written"),
        (["tracking.uri=ftp://host"], "tracking.uri is 'ftp://host', but must begin with"),
        (["-m", "loss=split,nonsense"], "There is no option loss=nonsense"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2_and_leaves_nothing(tmp_path, overrides, sentence):
    done = run(tmp_path, *overrides)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "multirun.yaml"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.smi", b"", "holds no record"),
        ("garbage.smi", bytes(range(128, 256)), "not UTF-8"),
        ("ten.smi", b"CCCCCCCCCC\n", "10 heavy atoms (at most 9 fit)"),
        ("table.csv", b"name,formula\nCO,CO\n", "data.column is 'smiles', but the file's columns are: name, formula"),
    ],
)
def test_unusable_data_are_one_sentence_and_exit_code_2_and_leave_no_run(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    done = run(tmp_path, f"data.path={name}", "tracking=none")
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [name]


def test_the_modules_of_the_command_line_import_no_heavy_library(tmp_path):
    done = subprocess.run([sys.executable, "-c", IMPORTED], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_shows_how_to_start_the_groups_and_every_key(tmp_path):
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    for text in ("+experiment=split_loss", "loss: answer, joint", "learning_rate: 0.001", "Exit codes"):
        assert text in done.stdout


def test_cfg_job_shows_the_configuration_from_any_folder(tmp_path):
    done = run(tmp_path, "+experiment=tf_native", "--cfg", "job")
    assert done.returncode == 0
    assert "name: tf_native" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_compiled_program_is_refused_on_another_keras_backend(tmp_path):
    pytest.importorskip("jax")
    done = run(tmp_path, "tracking=none", KERAS_BACKEND="jax")
    assert done.returncode == 2
    assert "use training=fit, or unset KERAS_BACKEND" in done.stderr
