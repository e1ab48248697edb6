"""An error in the user's own code, told with their file and line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jointdec
from jointdec.errors import BadProblem, UserError

OURS = str(Path(jointdec.__file__).parent)
INSTALLED = ("site-packages", "dist-packages")


def blame(error: BaseException, what: str) -> str:
    """One sentence: the last line of the user's own that the error came through, and what it says."""
    said = f"{type(error).__name__}: {_first_paragraph(error)}" if str(error).strip() else type(error).__name__
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else what
    inside = f" in {own[-1].name}()" if own and own[-1].name != "<module>" else ""
    return f"{where}{inside}: {said.rstrip('.')}."


@contextmanager
def blamed(what: str) -> Iterator[None]:
    """Meanwhile the user's code runs: what it raises becomes a `BadProblem` of one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise BadProblem(blame(error, what)) from error


@contextmanager
def no_network(what: str) -> Iterator[None]:
    """Meanwhile nothing may be fetched from another machine by this thread's Python code."""
    _install_hook()
    _refused.append(what)
    try:
        yield
    finally:
        _refused.pop()


_refused: list[str] = []
_installed: list[Callable[..., None]] = []
LOOPBACK = ("localhost", "127.", "::1")


def _install_hook() -> None:
    if not _installed:  # an audit hook cannot be taken off again
        _installed.append(_hook)
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if not _refused or event not in ("socket.getaddrinfo", "socket.connect"):
        return
    host = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    if isinstance(host, tuple):
        host = host[0]
    name = host.decode() if isinstance(host, bytes) else host
    if not isinstance(name, str) or name.startswith(("/", *LOOPBACK)) or not _called_by_own():
        return
    raise BadProblem(
        f"{_refused[-1]} wants to fetch something from {name}: jointdec downloads nothing while it runs, so save it to "
        "a file first, and read that."
    )


def _called_by_own() -> bool:
    """Whether the user's code is on this thread's stack: trackers and storages may talk to their servers meanwhile."""
    frame = sys._getframe(1)
    while frame is not None:
        if _is_own(frame.f_code.co_filename):
            return True
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return False


def _is_own(filename: str) -> bool:
    if filename.startswith("<") or filename.startswith(OURS):
        return False
    return not filename.startswith(sys.base_prefix) and not any(part in filename for part in INSTALLED)


def _first_paragraph(error: BaseException) -> str:
    return " ".join(str(error).strip().split("\n\n")[0].split())
