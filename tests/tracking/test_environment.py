import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from jointdec.tracking.environment import HOST, PID, STARTED, device, git_state, mend_stale_runs, packages, process_tags
from jointdec.tracking.store import open_store


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


TELL_TAGS = """
import json, time
from jointdec.tracking.environment import process_tags
print(json.dumps(process_tags()), flush=True)
time.sleep(600)
"""


@pytest.fixture
def store(store_uri, request):
    return open_store(store_uri, request.node.name)


@pytest.fixture
def other_process():
    """A process that has told its tags and sleeps."""
    with subprocess.Popen([sys.executable, "-c", TELL_TAGS], stdout=subprocess.PIPE, text=True) as process:
        yield process, json.loads(process.stdout.readline())
        process.kill()


def test_a_run_of_a_killed_process_becomes_killed_and_interrupted(store, other_process):
    client, experiment = store
    process, tags = other_process
    run_id = client.create_run(experiment, tags=tags).info.run_id
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert mend_stale_runs(client, experiment) == [run_id]
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["jointdec.outcome"]) == ("KILLED", "interrupted")


def test_a_run_of_a_living_process_is_left_alone(store, other_process):
    client, experiment = store
    run_id = client.create_run(experiment, tags=other_process[1]).info.run_id
    assert mend_stale_runs(client, experiment) == []
    assert client.get_run(run_id).info.status == "RUNNING"


def test_a_run_of_this_very_process_is_left_alone(store):
    client, experiment = store
    client.create_run(experiment, tags=process_tags())
    assert mend_stale_runs(client, experiment) == []


def test_a_process_that_got_the_number_of_a_dead_one_does_not_save_its_run(store):
    client, experiment = store
    tags = process_tags() | {STARTED: "1000000000.00"}
    run_id = client.create_run(experiment, tags=tags).info.run_id
    assert mend_stale_runs(client, experiment) == [run_id]


def test_a_run_of_another_machine_is_left_alone(store):
    client, experiment = store
    run_id = client.create_run(experiment, tags={HOST: "elsewhere", PID: "1", STARTED: "1.00"}).info.run_id
    assert mend_stale_runs(client, experiment) == []
    assert client.get_run(run_id).info.status == "RUNNING"


def test_a_run_that_ended_keeps_its_end(store):
    client, experiment = store
    tags = process_tags() | {STARTED: "1000000000.00"}
    run_id = client.create_run(experiment, tags=tags).info.run_id
    client.set_terminated(run_id, "FINISHED")
    assert mend_stale_runs(client, experiment) == []
    assert client.get_run(run_id).info.status == "FINISHED"
