"""Jobs in processes of their own, for reading that would keep one core busy for seconds.

Threads do not help there: Python's lock and the one of SQLite's memory allocator are shared by all of them.  A job opens
its files itself; its process is ended when the job is no longer wanted or its parent is gone, and does further ones
otherwise.
It imports only what the job names, never the caller's program, so that a script needs no guard against it.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from sdetl_engine.errors import ResourceError
from sdetl_engine.events import Reporter

Result = TypeVar("Result")
Item = TypeVar("Item")

MOST = 2
"""Jobs that are worth starting side by side: each takes some 50 MB, and the client is to stay under 200."""
_PROGRAM = Path(__file__).with_name("process_main.py")
_POLL_SECONDS = 0.1
IDLE_SECONDS = 30.0
"""A process without a job ends by itself after so long."""


def useful(beside: int = 0) -> int:
    """How many jobs can really run side by side here, 1 to `MOST`, when so many cores are busy ``beside`` them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores - beside, MOST))


NEXT = "next"
"""What a job of `Streams` yields when it is another's turn."""


_is_responsive = False


def stay_responsive() -> None:
    """Say, once and for all, that this process has screens to answer for.

    Work that keeps the interpreter busy is then done in a process of its own even where that is no quicker.
    """
    global _is_responsive
    _is_responsive = True


def is_responsive() -> bool:
    """True when `stay_responsive` was called."""
    return _is_responsive


class _Running:
    """Jobs at work side by side, as a context manager; leaving it ends those that still run."""

    def __init__(self, jobs: Sequence[functools.partial[Any]], reporter: Reporter) -> None:
        self._jobs = jobs
        self._reporter = reporter
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        try:
            for job in self._jobs:
                self._workers.append(_Worker(job))
        except OSError as error:
            self._end()
            raise ResourceError(
                f"no further process can be started: {error.strerror}",
                next_step="end other programs or raise the limit of processes, then continue with --resume",
            ) from None
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        for worker in self._workers:
            worker.end()


class Processes(_Running, Generic[Result]):
    """Jobs whose results are wanted.

    A job is a ``functools.partial`` of a function at the top level of a module, called with ``reporter`` besides.  It
    and its result are pickled.  What the job tells ``reporter`` is told to the caller's; it need not look for a wish to
    stop, since its process is then ended.
    """

    def __init__(self, jobs: Sequence[functools.partial[Result]], reporter: Reporter) -> None:
        super().__init__(jobs, reporter)

    def results(self) -> list[Result]:
        """What the jobs return, in their order.  Raises what the first of them raised; ResourceError when one was
        killed; Cancelled."""
        waiting = {worker.connection: worker for worker in self._workers}
        while waiting:
            for ready in wait(list(waiting), _POLL_SECONDS):
                assert isinstance(ready, Connection)
                if waiting[ready].listen(self._reporter):
                    del waiting[ready]
                self._tell_progress()
            self._reporter.check()
        return [worker.result for worker in self._workers]

    def _tell_progress(self) -> None:
        """Tell how far the slowest is."""
        heard = [worker.progress for worker in self._workers]
        known = [progress for progress in heard if progress is not None]
        if len(known) == len(heard):
            self._reporter.progress(*min(known, key=lambda progress: progress[1]))


class Streams(_Running, Generic[Item]):
    """Jobs that each return an iterator, whose items are wanted in turn.

    The first job's items come until it yields `NEXT`, then the second's, and so on, round and round; one that has come
    to its end is left out.  A process whose turn it is not yet works ahead as far as the line to it holds.
    """

    def __init__(self, jobs: Sequence[functools.partial[Iterator[Item | object]]], reporter: Reporter) -> None:
        super().__init__(jobs, reporter)

    def items(self) -> Iterator[Item]:
        """Every item.  Raises what a job raised when it would have been its turn; ResourceError when one was killed;
        Cancelled."""
        turns = collections.deque(self._workers)
        while turns:
            worker = turns[0]
            while not worker.connection.poll(_POLL_SECONDS):
                self._reporter.check()
            if worker.listen(self._reporter):
                turns.popleft()
            elif worker.item == NEXT:
                turns.rotate(-1)
            elif worker.item is not None:
                yield worker.item
            worker.item = None


@contextlib.contextmanager
def beside(job: functools.partial[Result], reporter: Reporter, *, is_long: bool) -> Iterator[Callable[[], Result]]:
    """A job beside what the block does; the block calls what it gets to have the job's result.

    A job that is not long, or has no core of its own, is done when it is asked for, here.
    """
    if is_long and useful() > 1:
        with Processes([job], reporter) as processes:
            yield lambda: processes.results()[0]
    else:
        yield lambda: job(reporter=reporter)


class _Worker:
    """A job in its process, and the line to it."""

    def __init__(self, job: functools.partial[Any]) -> None:
        self._process = _spares.take() or _Process()
        self.result: Any = None
        self.item: Any = None
        self.progress: tuple[str, int, int | None, str] | None = None
        self._is_done = False
        content = pickle.dumps(job)
        try:
            self._process.line.send_bytes(content)
        except OSError:
            # A spare one that ended just now.
            self._process.end()
            self._process = _Process()
            self._process.line.send_bytes(content)
        self.connection = self._process.line

    def listen(self, reporter: Reporter) -> bool:
        """Take one message; True when it was the last."""
        try:
            what, content = self.connection.recv()
        except (EOFError, ConnectionError):
            raise self._died() from None
        if what == "progress":
            self.progress = content
        elif what == "event":
            _tell(reporter, content)
        elif what == "item":
            self.item = content
        elif what == "raised":
            self._is_done = True
            raise content
        else:
            self.result, self._is_done = content, True
            return True
        return False

    def end(self) -> None:
        """End the process if it still works, and wait until it is gone; one that is done waits for a further job."""
        if self._is_done:
            _spares.give(self._process)
        else:
            self._process.end()

    def _died(self) -> ResourceError:
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return ResourceError(
            f"a process of sdetl ended before its job was done ({how})",
            next_step="see whether memory ran out (the kernel then kills processes), then continue with --resume",
            kind="process",
        )


class _Process:
    """A process that does one job after the other."""

    def __init__(self) -> None:
        self.line, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                # Without site and the user's folder: the import path is the caller's own, and comes over the line.
                [sys.executable, "-S", "-P", str(_PROGRAM), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C and a closed terminal are the caller's business.
                start_new_session=True,
            )
        self.line.send([os.path.abspath(folder) for folder in sys.path])

    def end(self) -> None:
        """End it now, and wait until it is gone."""
        self.line.close()
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """Its exit code, when it has ended by itself."""
        return self._process.wait()

    @property
    def runs(self) -> bool:
        """False when it was ended from outside."""
        return self._process.poll() is None


class _Spares:
    """Processes without a job: a start costs the tenth of a second that a stage of a small database takes.

    They end by themselves soon after their last job, and with their parent.
    """

    def __init__(self) -> None:
        self._idle: list[tuple[float, _Process]] = []
        self._lock = threading.Lock()

    def take(self) -> _Process | None:
        """One that still waits for a job, if there is any."""
        with self._lock:
            while self._idle:
                since, process = self._idle.pop()
                if time.monotonic() - since < IDLE_SECONDS / 2 and process.runs:
                    return process
                process.end()
        return None

    def give(self, process: _Process) -> None:
        """One whose job is done."""
        with self._lock:
            if process.runs and len(self._idle) < MOST:
                self._idle.append((time.monotonic(), process))
            else:
                process.end()


_spares = _Spares()


def _tell(reporter: Reporter, content: tuple[str, str, str, Mapping[str, object]]) -> None:
    name, message, level, context = content
    reporter.event(name, message, level=level, **context)
