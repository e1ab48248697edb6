"""Where runs are recorded: the tracking URI, checked and made absolute; whether a database answers; a file's lock.

All of it before MLflow is imported, and a database is asked before somebody waits for it for minutes.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from jointdec.errors import UserError

SERVERS = ("http", "https")
DATABASES = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}  # and their usual ports
ANSWER_SECONDS = 4


def resolve_uri(configured: str | None, key: str = "tracking.uri") -> str:
    """The absolute tracking URI: what is configured, else MLFLOW_TRACKING_URI, else mlflow.db in this folder.

    Args:
        configured: by the user.
        key: where, for the sentence that refuses it.

    Raises:
        UserError: a file store, which MLflow gave up in 3.17, or a scheme it does not know.
    """
    uri = configured or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    origin = key if configured or "MLFLOW_TRACKING_URI" not in os.environ else "MLFLOW_TRACKING_URI"
    scheme, separator, rest = uri.partition("://")
    if scheme_of(uri) == "sqlite":
        return _absolute_sqlite(origin, uri)
    if separator and scheme_of(uri) in (*SERVERS, *DATABASES) and rest:
        return uri
    if not separator or scheme == "file":
        raise UserError(
            f"{origin} is {hide_credentials(uri)!r}, a folder, and MLflow 3.17 records in folders no longer: "
            "give a database such as sqlite:////absolute/path/mlflow.db or a server such as http://host:5000."
        )
    raise UserError(
        f"{origin} is {hide_credentials(uri)!r}, but must begin with sqlite:///, http://, https://, "
        "postgresql://, mysql:// or mssql://."
    )


def scheme_of(uri: str) -> str:
    """The kind of store, without the database driver: ``postgresql+psycopg2://…`` is ``postgresql``."""
    return uri.partition(":")[0].partition("+")[0].lower()


def sqlite_path(uri: str) -> Path:
    """The database file of an absolute SQLite URI."""
    return Path(unquote(uri.partition("://")[2].partition("?")[0][1:]))


def hide_credentials(text: str) -> str:
    """The text with user names, passwords and query values struck out of every URI in it.

    All up to the last @ of a word goes, since a password may itself hold an unquoted / or @.
    """
    return re.sub(r"\?\S+=\S*", "?***", re.sub(r"://\S*@", "://***@", text))


def in_brief(reason: str) -> str:
    """The first line of what a library says, to stand in a sentence; without credentials."""
    return hide_credentials((reason.splitlines() or ["no reason given"])[0]).rstrip(".")


def _absolute_sqlite(origin: str, uri: str) -> str:
    prefix, _, rest = uri.partition("://")
    path, mark, query = rest.partition("?")
    name = path[1:]
    if not path.startswith("/") or name in ("", ":memory:") or name.startswith("file:"):
        raise UserError(
            f"{origin} is {uri!r}, which names no database file: "
            "write sqlite:////absolute/path/mlflow.db or sqlite:///relative/path/mlflow.db."
        )
    if not name.startswith("/"):
        here = str(Path.cwd()).replace("%", "%25").replace("?", "%3F")  # SQLAlchemy decodes the path
        name = f"{here}/{name}"
    return f"{prefix}:///{name}{mark}{query}"


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
    if url.host and (port := url.port or DATABASES.get(scheme_of(uri))):
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
