"""Asks a database whether it can be used, before somebody waits for it for minutes; and the lock on a file."""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from jointdec.tracking.uri import scheme_of

ANSWER_SECONDS = 4
DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock that other processes of this machine wait for. The file stays: deleting it is a race."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def database_problem(uri: str) -> str | None:
    """Why the database cannot be used: a missing driver, a host that is not there, a refused password; or None."""
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        return "it is no database URL"
    if url.host and (port := url.port or DEFAULT_PORTS.get(scheme_of(uri))):
        try:
            socket.create_connection((url.host, port), timeout=ANSWER_SECONDS).close()
        except OSError:
            return f"nobody answers at {url.host}:{port}"
    try:
        engine = create_engine(url)
        engine.connect().close()
        engine.dispose()
    except ImportError as error:
        return f"its driver is not installed ({error}); PostgreSQL's is in jointdec[postgresql]"
    except SQLAlchemyError as error:
        return str(error)
    return None
