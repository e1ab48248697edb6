"""Whose a file is: the user's, a problem's that ships, or a library's."""

import sysconfig
from pathlib import Path

import keras
import pytest

import jointdec
from jointdec.divergence.place import is_users

PACKAGE = Path(jointdec.__file__).parent


@pytest.mark.parametrize(
    ("file", "users"),
    [
        (__file__, True),
        (f"{PACKAGE}_tried.py", True),  # beside the package, with a name that begins alike
        (str(PACKAGE.parent / "house.py"), True),
        (str(PACKAGE / "problems/penguins/__init__.py"), True),
        (str(PACKAGE / "problems/building.py"), False),
        (str(PACKAGE / "objective/heads.py"), False),
        (keras.__file__, False),
        (f"{sysconfig.get_path('stdlib')}/functools.py", False),
        ("<string>", False),
        ("<ipython-input-3-0123>", True),
    ],
)
def test_a_line_is_looked_for_in_the_user_s_files_and_in_problems_alone(file, users):
    assert is_users(file) is users
