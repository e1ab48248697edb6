"""docs/bring_your_own.md: that its file and its commands run as they stand there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "bring_your_own.md"


@pytest.mark.slow
def test_the_page_s_problem_is_run_compared_and_swept_by_the_page_s_commands(tmp_path):
    text = PAGE.read_text()
    (tmp_path / "house.py").write_text(re.search(r"^```python\n(.*?)^```", text, re.M | re.S).group(1))
    said = []
    for line in re.search(r"^```sh\n(.*?)^```", text, re.M | re.S).group(1).splitlines():
        _, *arguments = shlex.split(line)
        done = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        said.append(done.stdout)
    first, _, compared, swept = said
    assert "weights price 3, kind 1, cheap_flats 1" in first
    assert "missing      price" in first
    assert "price" in compared
    assert "maximize val/exact" in swept
