"""Where a study is kept: a journal file, for the processes of one machine, or a database, for many."""

from __future__ import annotations

import warnings
from pathlib import Path

from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import SQLAlchemyError

from jointdec.errors import UserError
from jointdec.sweeping.study import make_place_again
from jointdec.tracking.database import database_problem
from jointdec.tracking.uri import hide_credentials, scheme_of

DATABASES = ("postgresql", "mysql", "sqlite")
HEARTBEAT, GRACE = 30, 120  # seconds: between two signs of life, and without one until a trial counts as dead


def storage_uri(given: str | None, folder: Path) -> str:
    """``sweep.storage``, or the journal file in the study's folder.

    Raises:
        UserError: it is a URI of another kind.
    """
    if given is None:
        return str(folder.absolute() / "study.journal")
    if "://" in given and scheme_of(given) not in DATABASES:
        raise UserError(
            f"sweep.storage is {hide_credentials(given)!r}, but must be a journal file or begin with postgresql://, "
            "mysql:// or sqlite:///."
        )
    return given if "://" in given else str(Path(given).absolute())


def require_answer(uri: str) -> None:
    """Find out whether the storage answers, without making anything in it.

    Raises:
        UserError: it does not.
    """
    if "://" in uri and (problem := database_problem(uri)):
        raise _cannot_use(uri, problem)


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # the heartbeat; Optuna has no other
            return RDBStorage(
                uri,
                engine_kwargs={"pool_pre_ping": True},
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=make_place_again,
            )
    except (SQLAlchemyError, StorageInternalError, RuntimeError, ImportError, OSError, ValueError) as error:
        raise _cannot_use(uri, str(error)) from error


def dashboard_command(uri: str) -> str:
    """What opens the storage in Optuna's dashboard."""
    return f"optuna-dashboard {hide_credentials(uri)}"


def _cannot_use(uri: str, reason: str) -> UserError:
    first = hide_credentials((reason.splitlines() or ["no reason given"])[0]).rstrip(".")
    return UserError(
        f"The storage {hide_credentials(uri)} cannot be used ({first}): start or mend it, or name another with "
        "sweep.storage=postgresql://user:password@host/database, or without one keep the study in a file."
    )
