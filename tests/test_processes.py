"""Jobs in processes of their own: what they return, raise and tell, and how they end."""

from __future__ import annotations

import functools
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sdetl_engine.errors import Cancelled, ResourceError, SourceError, ValidationFailed
from sdetl_engine.events import RecordingReporter, Reporter, SilentReporter
from sdetl_engine.processes import NEXT, Processes, Streams

ROOT = Path(__file__).parent.parent


def double(number: int, *, reporter: Reporter) -> int:
    reporter.event("Doubled", "a number was doubled", number=number)
    return 2 * number


def fail(*, reporter: Reporter) -> None:
    raise SourceError("the file t.db is damaged", next_step="get it again", kind="source-malformed")


def say_where(*, reporter: Reporter) -> tuple[int, bool]:
    return os.getpid(), "sdetl_engine.engine" in sys.modules


def sleep(folder: Path, *, reporter: Reporter) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(60)


def die(*, reporter: Reporter) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run(*jobs: functools.partial[Any], reporter: SilentReporter | None = None) -> list[Any]:
    with Processes(jobs, reporter or SilentReporter()) as processes:
        return processes.results()


def pids(folder: Path, count: int) -> list[int]:
    for _ in range(200):
        if len(found := [int(p.name) for p in folder.iterdir()]) == count:
            return found
        time.sleep(0.05)
    raise AssertionError("the jobs did not start")


def test_results_come_in_the_order_of_the_jobs() -> None:
    reporter = RecordingReporter()
    assert run(*(functools.partial(double, n) for n in (1, 2)), reporter=reporter) == [2, 4]
    assert sorted(event.context["number"] for event in reporter.events) == [1, 2]  # type: ignore[type-var]


def test_a_job_runs_elsewhere_and_imports_only_what_it_names() -> None:
    with Processes([functools.partial(say_where)], SilentReporter()) as processes:
        ((pid, has_whole_engine),) = processes.results()
    assert pid != os.getpid()
    assert not has_whole_engine


def test_a_process_does_one_job_after_the_other() -> None:
    first, second = (set(run(*[functools.partial(say_where)] * 2)) for _ in range(2))
    assert first == second


def test_a_process_that_was_killed_while_it_had_no_job_is_replaced() -> None:
    idle = [psutil.Process(pid) for pid, _ in run(*[functools.partial(say_where)] * 2)]
    for process in idle:
        process.kill()
    psutil.wait_procs(idle, timeout=10)
    assert run(functools.partial(double, 4)) == [8]


def test_an_error_arrives_as_it_was_raised() -> None:
    with pytest.raises(SourceError, match=r"t\.db is damaged") as caught:
        run(functools.partial(fail))
    assert (caught.value.kind, caught.value.next_step) == ("source-malformed", "get it again")


def test_a_killed_process_is_told() -> None:
    with pytest.raises(ResourceError, match="SIGKILL"):
        run(functools.partial(die))


def test_a_wish_to_stop_ends_the_jobs_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(Cancelled):
        run(*[functools.partial(sleep, tmp_path)] * 2, reporter=RecordingReporter(cancel_at_check=10))
    assert time.monotonic() - began < 10
    assert not any(psutil.pid_exists(pid) for pid in pids(tmp_path, 2))


def test_a_killed_parent_leaves_nobody_behind(tmp_path: Path) -> None:
    script = (
        "import functools, pathlib; from tests.test_processes import sleep, run\n"
        f"run(functools.partial(sleep, pathlib.Path({str(tmp_path)!r})))"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) as parent:
        (job,) = (psutil.Process(pid) for pid in pids(tmp_path, 1))
        parent.kill()
    psutil.wait_procs([job], timeout=10)
    assert not job.is_running() or job.status() == psutil.STATUS_ZOMBIE


def test_every_error_survives_the_way() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(ValidationFailed("rows differ", next_step="look", left_behind="a schema")))
    assert (error.message, error.next_step, error.left_behind, str(error)) == (
        *("rows differ", "look", "a schema"),
        "rows differ",
    )


def count_from(first: int, step: int, end: int, *, reporter: Reporter) -> Iterator[int | object]:
    for number in range(first, end, step):
        yield number
        yield -number
        yield NEXT


def count_and_fail(*, reporter: Reporter) -> Iterator[int | object]:
    yield 1
    yield NEXT
    raise SourceError("the file t.db is damaged", next_step="get it again", kind="source-malformed")


def count_for_ever(folder: Path, *, reporter: Reporter) -> Iterator[int | object]:
    (folder / str(os.getpid())).touch()
    for number in itertools.count():
        yield number
        yield NEXT


def test_streams_take_turns_and_one_at_its_end_is_left_out() -> None:
    jobs = [functools.partial(count_from, 0, 2, 5), functools.partial(count_from, 1, 2, 2)]
    with Streams[int](jobs, SilentReporter()) as streams:
        assert list(streams.items()) == [0, 0, 1, -1, 2, -2, 4, -4]


def test_what_a_stream_raises_comes_when_it_is_its_turn() -> None:
    jobs = [functools.partial(count_from, 10, 1, 12), functools.partial(count_and_fail)]
    heard: list[int] = []
    with pytest.raises(SourceError, match=r"t\.db is damaged"), Streams[int](jobs, SilentReporter()) as streams:
        heard.extend(streams.items())
    assert heard == [10, -10, 1, 11, -11]


def test_streams_that_nobody_listens_to_any_more_are_ended(tmp_path: Path) -> None:
    with Streams[int]([functools.partial(count_for_ever, tmp_path)] * 2, SilentReporter()) as streams:
        assert list(itertools.islice(streams.items(), 4)) == [0, 0, 1, 1]
        running = pids(tmp_path, 2)
    assert not any(psutil.pid_exists(pid) for pid in running)


def test_a_wish_to_stop_is_heard_while_a_stream_is_waited_for(tmp_path: Path) -> None:
    with (
        pytest.raises(Cancelled),
        Streams[int]([functools.partial(sleep_then_yield, tmp_path)], RecordingReporter(cancel_at_check=2)) as streams,
    ):
        list(streams.items())


def sleep_then_yield(folder: Path, *, reporter: Reporter) -> Iterator[int | object]:
    time.sleep(60)
    yield 1
