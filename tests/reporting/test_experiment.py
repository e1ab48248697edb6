"""What experiments share: folders, tables that are made once, and the part of a README between two markers."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointdec.reporting.experiment import kept_table, parse_arguments, write_section, write_table

BEGIN, END = "<!-- begin -->", "<!-- end -->"


@pytest.mark.parametrize(
    ("typed", "quick", "where"),
    [([], False, ""), (["quick=true"], True, "quick"), (["quick=true", "--output", "{}/other"], True, "other")],
)
def test_a_quick_run_never_writes_where_the_committed_results_are(tmp_path, monkeypatch, typed, quick, where):
    monkeypatch.setattr(sys, "argv", ["script", *(word.format(tmp_path) for word in typed)])
    assert parse_arguments("What it does.", tmp_path) == (quick, tmp_path / where)
    assert (tmp_path / where / "results").is_dir()


def test_another_word_is_refused_with_exit_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["script", "quick=yes"])
    with pytest.raises(SystemExit) as caught:
        parse_arguments("What it does.", tmp_path)
    assert caught.value.code == 2
    assert "quick=true" in capsys.readouterr().err


def test_a_table_is_made_once_and_then_read(tmp_path):
    made = []

    def make():
        made.append(1)
        return [{"seed": 0, "loss": 0.5}, {"seed": 1, "loss": 0.25}]

    expected = [{"seed": "0", "loss": "0.5"}, {"seed": "1", "loss": "0.25"}]
    assert kept_table(tmp_path / "table.csv", make) == kept_table(tmp_path / "table.csv", make) == expected
    assert made == [1]


def test_only_the_columns_that_are_asked_for_are_written(tmp_path):
    write_table([{"a": 1, "b": 2, "c": 3}], tmp_path / "table.csv", ["c", "a"])
    assert (tmp_path / "table.csv").read_text() == "c,a\n3,1\n"


TEXT = st.text(st.characters(exclude_characters="<\r", exclude_categories=["Cs"]))


@given(before=TEXT, old=TEXT, after=TEXT, text=TEXT)
def test_what_stands_outside_of_the_markers_stays_and_the_second_time_changes_nothing(
    tmp_path_factory, before, old, after, text
):
    readme = tmp_path_factory.mktemp("readme") / "README.md"
    readme.write_text(f"{before}{BEGIN}{old}{END}{after}", encoding="utf-8")
    for _ in range(2):
        write_section(text, readme, BEGIN, END)
        assert readme.read_text(encoding="utf-8") == f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def test_without_a_readme_none_is_made(tmp_path):
    write_section("text", tmp_path / "README.md", BEGIN, END)
    assert list(tmp_path.iterdir()) == []
