"""docs/your_model.md: that its code runs as it stands there, and does what the page says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "your_model.md"


@pytest.mark.slow
def test_the_page_s_code_runs_from_top_to_bottom_and_records_finds_and_refuses(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks))
    done = subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (tmp_path / "mlflow.db").is_file()
    assert "diverged In step 0 (epoch 0) these losses are not finite: loss." in done.stdout
    assert re.search(r"^y\['kind'\].* 2 ", done.stdout, re.M)
