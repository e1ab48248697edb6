"""The table of a comparison at the terminal."""

from jointdec.comparing.comparison import compare
from jointdec.comparing.groups import make_groups
from jointdec.comparing.measured import Curves
from jointdec.comparing.report import CompareTerminal


def test_names_that_begin_alike_are_told_apart_on_a_narrow_terminal(make_runs, settings, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    names = ("glorot_normal", "glorot_uniform")
    rows = [
        {"model.initializer": name, "seed": seed, "val/exact": 0.1 * seed + number}
        for number, name in enumerate(names)
        for seed in range(2)
    ]
    groups = make_groups(make_runs(*rows), ["model.initializer"], [])
    asked = settings(by=["model.initializer"], metrics=["val/exact"])
    CompareTerminal().show(compare(groups, {group.name: Curves({}, {}) for group in groups}, asked))
    table = capsys.readouterr().out.partition("Means")[0]
    first_column = "".join(line.split("  ")[1].strip() for line in table.splitlines() if line.startswith("  "))
    for name in names:
        assert f"initializer={name}" in first_column
