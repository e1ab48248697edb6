"""What a run depended on besides its configuration: code, packages, machine. Never environment variables."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import psutil

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
