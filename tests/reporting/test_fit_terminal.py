"""What a person sees of a training, at a terminal and elsewhere."""

import numpy as np
import pytest

from jointdec.errors import BadArgument
from jointdec.reporting.fit_terminal import FitTerminal
from jointdec.training.result import EpochResult

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
