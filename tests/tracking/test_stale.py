import json
import signal
import subprocess
import sys

import pytest

from jointdec.tracking.identity import HOST, PID, STARTED, process_tags
from jointdec.tracking.stale import mend_stale_runs
from jointdec.tracking.store import open_store

TELL_TAGS = """
import json, time
from jointdec.tracking.identity import process_tags
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
