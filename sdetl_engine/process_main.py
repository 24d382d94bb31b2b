"""The program of a process that does jobs (see ``processes``): started by its path, with a line to its parent."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import select
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

_PROGRESS_SECONDS = 0.1


def main() -> None:
    """Receive jobs, do them one after the other, send back what each returned or raised."""
    line = Connection(int(sys.argv[1]))
    sys.path[:] = line.recv()
    _know_the_rooms()
    threading.Thread(target=_end_with_parent, args=(line.fileno(),), daemon=True).start()
    from sdetl_engine.processes import IDLE_SECONDS

    with contextlib.suppress(EOFError, OSError):
        while line.poll(IDLE_SECONDS):
            _do(pickle.loads(line.recv_bytes()), line)  # noqa: S301 - it comes from our own parent


def _do(job: functools.partial[object], line: Connection) -> None:
    try:
        answer = ("returned", _finished(line, job(reporter=_Telling(line))))
    except Exception as error:  # noqa: BLE001 - the border of the process: whatever it was, the parent raises it
        answer = ("raised", _portable(error))
    line.send(answer)


def _finished(line: Connection, result: object) -> object:
    """The result; of an iterator the items are sent, one by one, and nothing is left."""
    if not isinstance(result, Iterator):
        return result
    for item in result:
        line.send(("item", item))
    return None


def _know_the_rooms() -> None:
    """Make modules of the engine importable without its public face, which would import all of them."""
    package = types.ModuleType("sdetl_engine")
    package.__path__ = [str(Path(__file__).parent)]
    sys.modules["sdetl_engine"] = package


def _end_with_parent(line: int) -> None:
    """End at once, whatever the job does, when the parent closes the line or is gone."""
    watch = select.poll()
    watch.register(line, select.POLLHUP)
    watch.poll()
    os._exit(1)


class _Telling:
    """The job's reporter: passes on what it hears, of progress no more than a screen can show."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._next = 0.0

    def progress(self, what: str, done: int, total: int | None, unit: str = "rows") -> None:
        if done == total or time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_SECONDS
            self._line.send(("progress", (what, done, total, unit)))

    def event(self, name: str, message: str, *, level: str = "info", **context: object) -> None:
        self._line.send(("event", (name, message, level, context)))

    def check(self) -> None:
        """Whoever wants to stop ends the process."""

    def interrupting(self, _interrupt: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def _portable(error: Exception) -> Exception:
    """The error, or its name and place where it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - a foreign exception may fail in any way
        return RuntimeError(f"{type(error).__name__} in a process of sdetl")
    return error


if __name__ == "__main__":
    main()
