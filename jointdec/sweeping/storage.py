"""Where a study is kept: a journal file, for the processes of one machine, or PostgreSQL, for many machines."""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from jointdec.errors import UserError
from jointdec.tracking.uri import database_problem, file_lock, hide_credentials, in_brief, scheme_of

LOCK = zlib.crc32(b"jointdec.sweep")  # of PostgreSQL's advisory locks


def storage_uri(given: str | None, folder: Path) -> str:
    """``sweep.storage``, or the journal file in the study's folder.

    Raises:
        UserError: it is a URI of another kind.
    """
    if given is None:
        return str(folder.absolute() / "study.journal")
    if "://" in given and scheme_of(given) != "postgresql":
        raise UserError(
            f"sweep.storage is {hide_credentials(given)!r}, but must be the path of a journal file or begin with "
            "postgresql://."
        )
    return given if "://" in given else str(Path(given).absolute())


def require_answer(uri: str) -> None:
    """Find out whether the storage answers, without making anything in it.

    Raises:
        UserError: it does not.
    """
    if "://" in uri and (problem := database_problem(uri)):
        raise _cannot_use(uri, problem)


@contextmanager
def locked(uri: str) -> Iterator[None]:
    """Hold a lock that every other command on this storage waits for, wherever it runs.

    Tables, study, places and seeds are made under it: many commands may start at the same moment.
    """
    if "://" not in uri:
        with file_lock(Path(f"{uri}.starting")):
            yield
        return
    require_answer(uri)
    engine = create_engine(uri)
    try:
        with engine.connect() as connection:  # the lock ends with it, also if this process dies
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": LOCK})
            yield
    finally:
        engine.dispose()


def open_storage(uri: str) -> BaseStorage:
    """The storage, with its tables or its file made if they are not there yet.

    Args:
        uri: what `storage_uri` returned.

    Raises:
        UserError: it does not answer or cannot be written.
    """
    try:
        if "://" not in uri:
            Path(uri).parent.mkdir(parents=True, exist_ok=True)
            return JournalStorage(JournalFileBackend(uri))
        require_answer(uri)
        return RDBStorage(uri, engine_kwargs={"pool_pre_ping": True})
    except (SQLAlchemyError, StorageInternalError, RuntimeError, OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error) if "://" in uri else f"it is no journal of Optuna's: {error}"
        raise _cannot_use(uri, reason) from error


def dashboard_command(uri: str) -> str:
    """What opens the storage in Optuna's dashboard."""
    return f"optuna-dashboard {shlex.quote(hide_credentials(uri))}"


def _cannot_use(uri: str, reason: str) -> UserError:
    return UserError(
        f"The storage {hide_credentials(uri)} cannot be used ({in_brief(reason)}): start or mend it, or name another "
        "with sweep.storage=postgresql://user:password@host/database, or without one keep the study in a file."
    )
