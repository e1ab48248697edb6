"""What a run depended on besides its configuration: code, packages, machine, process. Never environment variables.

SIGKILL, a power cut or the kernel's memory killer leave a run RUNNING for ever. So each run carries the identity of
its process, and whoever opens the same experiment on the same machine next mends what it finds.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from mlflow import MlflowClient

HOST, PID, STARTED = "jointdec.host", "jointdec.pid", "jointdec.process_started"
CLOCK_TOLERANCE = 2.0  # seconds; a process's start is derived from a boot time that clock corrections shift

PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv")  # whatever the user's git is configured to show


@dataclass(frozen=True)
class GitState:
    """The state of a working tree.

    Attributes:
        commit: the full hash of HEAD.
        diff: what ``git diff HEAD`` says, after a comment line for each untracked file; empty when clean.
            ``git apply`` reads it as it is. Bytes that are no UTF-8 are kept as surrogates.
    """

    commit: str
    diff: str


def git_state(folder: Path) -> GitState | None:
    """The repository that the folder lies in; None where there is none, or no commit, or no git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    untracked = _git(folder, "ls-files", "--others", "--exclude-standard", "--directory", "--full-name", ":/") or ""
    comments = "".join(f"# untracked: {name}\n" for name in untracked.splitlines())
    return GitState(commit.strip(), comments + (_git(folder, "diff", *PLAIN, "HEAD") or ""))


def packages() -> str:
    """The installed distributions, one ``name==version`` a line, sorted."""
    return "".join(sorted({f"{found.name}=={found.version}\n" for found in distributions()}, key=str.lower))


def device(accelerators: Sequence[str]) -> dict[str, object]:
    """This machine: CPU model, usable cores, memory in GiB, Python, operating system, accelerators."""
    return {
        "cpu": _cpu_model(),
        "cores": len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "accelerators": list(accelerators),
    }


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            check=True,
            text=True,
            errors="surrogateescape",
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def mend_stale_runs(client: MlflowClient, experiment_id: str) -> list[str]:
    """Mark runs of this experiment and machine whose process is gone KILLED and interrupted; their ids."""
    running = client.search_runs(
        [experiment_id], f"attributes.status = 'RUNNING' and tags.`{HOST}` = '{host()}'", max_results=1000
    )
    mended = []
    for run in running:
        if is_alive(run.data.tags):
            continue
        if client.get_run(run.info.run_id).info.status != "RUNNING":
            continue  # it ended properly between the search and the look at its process
        client.set_tag(run.info.run_id, "jointdec.outcome", "interrupted")
        client.set_terminated(run.info.run_id, "KILLED")
        mended.append(run.info.run_id)
    return mended


def process_tags() -> dict[str, str]:
    """The tags that identify this process."""
    process = psutil.Process()
    return {HOST: host(), PID: str(process.pid), STARTED: f"{process.create_time():.2f}"}


def host() -> str:
    """The host's name, and the process id namespace where there is one: containers may share a name."""
    namespace = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()} {namespace.readlink()}" if namespace.is_symlink() else socket.gethostname()


def is_alive(tags: Mapping[str, str]) -> bool:
    """Whether the process of this host that the tags identify still runs."""
    try:
        process = psutil.Process(int(tags[PID]))
        started = process.create_time()
        gone = process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    return not gone and abs(started - float(tags[STARTED])) < CLOCK_TOLERANCE
