"""What is printed: to a pipe, and to a real pseudo-terminal."""

import os
import pty
import subprocess
import sys

import numpy as np
import pytest

from jointdec.errors import BadArgument
from jointdec.reporting.terminal import FitTerminal
from jointdec.training.result import EpochResult

SCRIPT = """
import numpy as np
from jointdec.reporting.terminal import Terminal
from jointdec.training.result import EpochResult
terminal = Terminal()
val = dict(loss=1.5, nodes=1.0, edges=0.25, node_accuracy=0.9, edge_accuracy=0.8, exact=0.125)
curves = {name: np.ones(10) for name in ("loss", "nodes", "edges")}
result = EpochResult(0, 0, curves, {"loss": 2.25, "nodes": 1.0, "edges": 0.5}, val, seconds=0.05)
with terminal.preparation() as progress:
    progress("Read molecules", 5, 10)
with terminal.epochs(1) as show:
    show(result)
terminal.results([result], {"test/loss": 1.75, "test/exact": 0.0625, "generate/validity": 0.5})
terminal.steps(300, {"price": np.arange(10) / 4})
terminal.farewell("finished", "out", "nowhere")
"""
OWN = """
import numpy as np
from jointdec.reporting.terminal import Terminal
from jointdec.training.result import EpochResult
terminal = Terminal()
result = EpochResult(0, 0, {"loss": np.ones(10)}, {"loss": 2.25}, {}, seconds=0.05)
with terminal.epochs(1) as show:
    show(result)
terminal.results([result], {})
"""


def test_without_a_terminal_there_are_no_bars_and_no_escape_codes():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout
    assert "ms/step in the last epoch" in done.stdout
    assert "Read molecules" not in done.stdout
    assert "epoch " not in done.stdout.replace("last epoch", "")


def test_a_terminal_shows_loss_and_ms_per_step_while_it_trains():
    text = _in_a_terminal(SCRIPT)
    for shown in ("Read molecules", "loss 2.2500", "val 1.5000", "exact 12.5%", "5.00 ms/step"):
        assert shown in text


def test_the_table_sets_validation_beside_test():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    rows = {cells[0]: cells[1:] for cells in map(_cells, done.stdout.splitlines()) if len(cells) == 3}
    assert rows["loss"] == ["1.5000", "1.7500"]
    assert rows["exact"] == ["12.50%", "6.25%"]
    assert rows["nodes"] == ["1.0000", ""]
    assert "validity 50.0%" in done.stdout


def test_a_table_of_steps_has_the_first_ones_and_the_last():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    rows = [cells for cells in map(_cells, done.stdout.splitlines()) if len(cells) == 2 and cells[0].isdigit()]
    assert rows == [["300", "0"], ["301", "0.25"], ["302", "0.5"], ["303", "0.75"], ["304", "1"], ["309", "2.25"]]


def test_a_training_without_validation_shows_its_loss_and_no_table():
    assert "loss 2.2500  5.00 ms/step" in _in_a_terminal(OWN)
    done = subprocess.run([sys.executable, "-c", OWN], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["speed", "5.00", "ms/step", "in", "the", "last", "epoch"]


def _cells(line):
    return [cell.strip() for cell in line.strip("│").split("│")]


def _in_a_terminal(script):
    parent, child = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=child, stderr=child, env=environment)
    os.close(child)
    text = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        text += part
    assert process.wait() == 0
    os.close(parent)
    return text.decode()


RESULT = EpochResult(4, 8, {"loss": np.ones(2)}, {}, {}, 0.5)


def shown(verbose, capsys, logs):
    said = FitTerminal(verbose)
    with said.epochs(1) as show:
        show(RESULT, logs)
    said.note("record  [bold]here[/]")
    return capsys.readouterr().out


@pytest.mark.parametrize("verbose", [1, 2, "auto", True])
def test_where_there_is_no_terminal_an_epoch_is_a_line(verbose, capsys):
    expected = "epoch 5  loss 0.5  val_f1/0 0.25  250 ms/step\nrecord  [bold]here[/]\n"
    assert shown(verbose, capsys, {"loss": 0.5, "val_f1": np.array([0.25])}) == expected


@pytest.mark.parametrize("verbose", [0, False])
def test_with_verbose_0_nothing_is_shown(verbose, capsys):
    assert shown(verbose, capsys, {"loss": 0.5}) == ""


def test_a_terminal_gets_a_bar_with_the_last_epoch_s_numbers(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    seen = shown("auto", capsys, {"loss": 0.5})
    assert "1/1" in seen
    assert "loss 0.5  250 ms/step" in seen
    assert "epoch 5" not in seen


@pytest.mark.parametrize("verbose", [3, -1, "loud", None, 1.5, [1]])
def test_another_verbosity_is_refused(verbose):
    with pytest.raises(BadArgument, match=r"verbose is .*, but must be 0, 1, 2 or 'auto'"):
        FitTerminal(verbose)
