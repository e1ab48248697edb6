"""Ends the records of runs whose process is gone.

SIGKILL, a power cut or the kernel's memory killer leave a run RUNNING for ever. So each run carries the
identity of its process, and whoever opens the same experiment on the same machine next mends what it finds.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import psutil
from mlflow import MlflowClient

HOST, PID, STARTED = "jointdec.host", "jointdec.pid", "jointdec.process_started"
CLOCK_TOLERANCE = 2.0  # seconds; a process's start is derived from a boot time that clock corrections shift


def process_tags() -> dict[str, str]:
    """The tags that identify this process."""
    process = psutil.Process()
    return {HOST: _host(), PID: str(process.pid), STARTED: f"{process.create_time():.2f}"}


def mend_stale_runs(client: MlflowClient, experiment_id: str) -> list[str]:
    """Mark runs of this experiment and machine whose process is gone KILLED and interrupted; their ids."""
    running = client.search_runs(
        [experiment_id], f"attributes.status = 'RUNNING' and tags.`{HOST}` = '{_host()}'", max_results=1000
    )
    mended = []
    for run in running:
        if _is_alive(run.data.tags):
            continue
        if client.get_run(run.info.run_id).info.status != "RUNNING":
            continue  # it ended properly between the search and the look at its process
        client.set_tag(run.info.run_id, "jointdec.outcome", "interrupted")
        client.set_terminated(run.info.run_id, "KILLED")
        mended.append(run.info.run_id)
    return mended


def _host() -> str:
    """The host's name, and the process id namespace where there is one: containers may share a name."""
    namespace = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()} {namespace.readlink()}" if namespace.is_symlink() else socket.gethostname()


def _is_alive(tags: Mapping[str, str]) -> bool:
    try:
        process = psutil.Process(int(tags[PID]))
        started = process.create_time()
        gone = process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    return not gone and abs(started - float(tags[STARTED])) < CLOCK_TOLERANCE
