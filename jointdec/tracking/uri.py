"""Where runs are recorded: the tracking URI, checked and made absolute before MLflow is imported."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from jointdec.errors import UserError

SERVERS = ("http", "https")
DATABASES = ("postgresql", "mysql", "mssql")


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
