import json
import subprocess

import numpy as np
import pytest

from jointdec.tracking.environment import device, git_state, packages


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "code.py").write_text("alpha = 0.2\n")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return tmp_path, git


def test_a_clean_tree_has_its_commit_and_no_diff(repository):
    folder, git = repository
    state = git_state(folder)
    assert (state.commit, state.diff) == (git("rev-parse", "HEAD"), "")


def test_the_diff_of_a_dirty_tree_restores_it_on_a_clean_one(repository):
    folder, git = repository
    changed = b"alpha = 0.3  # \xff is no UTF-8\n"
    (folder / "code.py").write_bytes(changed)
    (folder / "new.py").write_text("x = 1\n")
    diff = git_state(folder).diff
    assert "# untracked: new.py\n" in diff
    git("checkout", "-q", "code.py")
    patch = folder / "git.diff"
    patch.write_text(diff, encoding="utf-8", errors="surrogateescape")
    git("apply", str(patch))
    assert (folder / "code.py").read_bytes() == changed


def test_a_folder_inside_the_repository_tells_the_whole_tree(repository):
    folder, _ = repository
    (folder / "code.py").write_text("alpha = 0.3\n")
    (folder / "inner").mkdir()
    assert "+alpha = 0.3" in git_state(folder / "inner").diff


def test_there_is_no_git_state_outside_a_repository(tmp_path):
    assert git_state(tmp_path) is None


def test_packages_are_pinned_lines():
    lines = packages().splitlines()
    assert f"numpy=={np.__version__}" in lines
    assert lines == sorted(lines, key=str.lower)


def test_the_device_is_told_with_its_accelerators_and_without_the_environment(monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "hunter22")
    text = json.dumps(device(["NVIDIA H100"]))
    assert json.loads(text)["accelerators"] == ["NVIDIA H100"]
    assert json.loads(text)["cores"] >= 1
    assert "hunter22" not in text
