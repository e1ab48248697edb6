"""Which process owns a record: SIGKILL and power cuts leave records that say "running" for ever."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import psutil

HOST, PID, STARTED = "jointdec.host", "jointdec.pid", "jointdec.process_started"
CLOCK_TOLERANCE = 2.0  # seconds; a process's start is derived from a boot time that clock corrections shift


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
