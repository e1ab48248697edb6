import csv
import subprocess
import sys
from pathlib import Path

import pytest

from jointdec.config import conf_folder

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "experiments" / "specimens"
ERRORS = [
    "InvalidArgumentError: input must be at least 2-dim, received shape: [9]",
    "[[{{node loss/output_1_loss/MatrixBandPart_1}}]]",
    "InvalidArgumentError: Matrix size-incompatible: In[0]: [20,25920], In[1]: [324,324]",
    "[[{{node dense_9/BiasAdd}}]]",
]
ATTEMPTS = ["joint_indexed", "split_indexed", "two_tower_dot", "mse", "answer", "split", "zero_plus_total", "joint"]
ATTEMPTS += ["tf_native", "tf1_graph"]
SPECIMENS = {"joint_indexed", "split_indexed", "two_tower_dot", "answer"}
SOURCES = sorted((conf_folder() / "experiment" / "source").glob("*.yaml"))


@pytest.mark.parametrize("error", ERRORS)
def test_somebody_who_searches_for_the_original_error_finds_the_page(error):
    assert error in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_page_gives_the_command_of_every_attempt(attempt):
    assert f"python -m jointdec.run +experiment=source/{attempt}\n" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.stem)
def test_every_row_of_the_source_opens_with_its_command(file):
    assert f"# python -m jointdec.run +experiment=source/{file.stem}\n# R" in file.read_text()


@pytest.mark.slow
def test_the_page_is_written_from_runs_in_which_only_the_specimens_fail(tmp_path):
    subprocess.run([sys.executable, str(FOLDER / "specimens.py"), "--quick", "--output", str(tmp_path)], check=True)
    with (tmp_path / "results" / "table.csv").open(newline="", encoding="utf-8") as file:
        outcomes = {row["attempt"]: row["outcome"] for row in csv.DictReader(file)}
    assert {name for name, outcome in outcomes.items() if outcome == "specimen_failed"} == SPECIMENS
    assert {outcome for name, outcome in outcomes.items() if name not in SPECIMENS} == {"finished"}
    assert (tmp_path / "results" / "curves.png").read_bytes().startswith(b"\x89PNG")
    for error in ERRORS:
        assert error in (tmp_path / "README.md").read_text()
