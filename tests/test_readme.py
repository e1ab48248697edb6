import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_ci_runs_the_two_commands_that_readme_gives():
    commands = re.findall(r"^python3 -m venv \.venv && \. \.venv/bin/activate && (.*)$", _text("README.md"), re.M)
    assert len(commands) == 2
    ci = _text(".ci/run")
    for part in " && ".join(commands).split(" && "):
        assert part.replace("pip install ", "pip install -q ") in ci, part


@pytest.mark.parametrize(
    "file", ["README.md", *map(str, [*(ROOT / "experiments").rglob("README.md"), *(ROOT / "docs").rglob("*.md")])]
)
def test_every_link_to_a_file_leads_somewhere(file):
    links = re.findall(r"\]\(([^)#:]+)\)", _text(file))
    missing = [link for link in links if not ((ROOT / file).parent / link).exists()]
    assert missing == []


def _text(name):
    return (ROOT / name).read_text()


def test_the_readme_s_problem_is_the_file_that_its_commands_name():
    code = (ROOT / "docs" / "penguins.py").read_text()
    assert f"```python\n{code}```" in (ROOT / "README.md").read_text()
