"""A run told in lines: live progress on a terminal, plain lines elsewhere.  Everything goes to stderr."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING, ClassVar, TextIO

import humanize
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from sdetl_engine import (
    ExitCode,
    RateMeter,
    Severity,
    Status,
)
from sdetl_tui.text import literal, plain

if TYPE_CHECKING:
    from sdetl_engine import (
        Event,
        Finding,
        Outcome,
        Runner,
        SdetlError,
        Snapshot,
        Stage,
        StageRecord,
    )

SYMBOLS = {
    Status.PASSED: ("✓", "ok", "green"),
    Status.REVIEW: ("?", "review", "yellow"),
    Status.HALTED: ("■", "HALTED", "red"),
    Status.FAILED: ("✗", "FAILED", "red"),
    Status.SKIPPED: ("–", "skipped", "dim"),
    Status.CANCELLED: ("■", "cancelled", "yellow"),
    Status.UNKNOWN: ("?", "could not check", "yellow"),
}
_SEVERITY_STYLE = {
    Severity.HALT: "bold red",
    Severity.REVIEW: "yellow",
    Severity.WARNING: "yellow",
    Severity.INFO: "dim",
}
_POLL = 0.1
_PLAIN_EVERY = 5.0


class Narrator:
    """Watches one runner from the main thread and tells what happens.  ``live``: with a moving bar on a terminal."""

    def __init__(self, console: Console, *, live: bool = True) -> None:
        self._console = console
        self._live = live and console.is_terminal
        self._told: set[Stage] = set()
        self._meter = RateMeter()
        self._last_plain = 0.0

    def follow(self, runner: Runner, until: Stage) -> Outcome:
        """Start the engine's thread, tell its progress until it ends, pass signals on to it."""
        with _Signals(runner, self._console):
            runner.start(until)
            if self._live:
                self._follow_live(runner)
            else:
                self._follow_plain(runner)
        self._tell_finished(runner)
        assert runner.outcome is not None
        return runner.outcome

    def _follow_live(self, runner: Runner) -> None:
        columns: tuple[ProgressColumn | str, ...] = (
            TextColumn("{task.description}", markup=False),
            BarColumn(24),
            _Figures(self._meter),
        )
        with Progress(*columns, console=self._console, transient=True, refresh_per_second=8) as bar:
            task = bar.add_task("", total=None)
            while not runner.wait(_POLL):
                self._tell_finished(runner)
                snapshot = runner.reporter.latest
                if snapshot is not None:
                    self._meter.update(snapshot)
                    _show(bar, task, snapshot)

    def _follow_plain(self, runner: Runner) -> None:
        while not runner.wait(_POLL):
            self._tell_finished(runner)
            snapshot = runner.reporter.latest
            if snapshot is None:
                continue
            self._meter.update(snapshot)
            now = time.monotonic()
            if now - self._last_plain >= _PLAIN_EVERY and now - snapshot.started >= _PLAIN_EVERY:
                self._last_plain = now
                self._line(f"  {plain(snapshot.what)}: {_amount(snapshot)}{_speed(self._meter, snapshot)}")

    def _tell_finished(self, runner: Runner) -> None:
        for event in _drain(runner):
            if event.level in ("warning", "error") and event.name not in ("FindingMade", "StageFinished", "RunEnded"):
                self._line(f"  ! {plain(event.message)}", "yellow")
        for record in runner.records:
            if record.stage not in self._told and record.status not in (Status.PENDING, Status.RUNNING):
                self._told.add(record.stage)
                self.stage(record)

    def stage(self, record: StageRecord) -> None:
        """One line for a stage that ended, and its findings that matter."""
        symbol, word, style = SYMBOLS[record.status]
        if not _can_encode(symbol, self._console.file):
            symbol = "*"
        line = Text(f"{symbol} ", style=style)
        line.append(f"{record.stage:<10}", style="bold")
        line.append(f"{word:<9}", style=style)
        line.append(f"{record.seconds:7.1f} s  ")
        line.append(plain(_summary(record), 400), style="dim")
        self._console.print(line, soft_wrap=True)
        for finding in record.findings:
            if finding.severity is not Severity.INFO:
                self.finding(finding)

    def finding(self, finding: Finding) -> None:
        """A finding in a line or two: what, and what to do."""
        line = Text("    ")
        line.append(f"{finding.severity}: ", style=_SEVERITY_STYLE[finding.severity])
        line.append_text(literal(finding.message))
        if finding.is_open:
            line.append(" -> ", style="bold")
            line.append_text(literal(finding.advice))
        elif finding.decision is not None:
            line.append_text(literal(f" ({finding.decision.choice}: {finding.decision.reason})", style="dim"))
        self._console.print(line, soft_wrap=True)

    def error(self, error: SdetlError) -> None:
        """What happened, what is left behind, what to do."""
        tell_error(self._console, error)

    def _line(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)


def tell_error(console: Console, error: SdetlError) -> None:
    """An error in two lines."""
    first = Text("error: ", style="bold red")
    first.append_text(literal(error.message))
    console.print(first, soft_wrap=True)
    console.print(literal(f"  left behind: {error.left_behind}.  next: {error.next_step}"), soft_wrap=True)


class _Figures(ProgressColumn):
    """Done, total, rate, time to go."""

    def __init__(self, meter: RateMeter) -> None:
        super().__init__()
        self._meter = meter

    def render(self, task: Task) -> Text:
        snapshot: Snapshot | None = task.fields.get("snapshot")
        return Text(_amount(snapshot) + _speed(self._meter, snapshot)) if snapshot else Text("")


class _Signals:
    """While a run works: Ctrl-C, SIGTERM and SIGHUP ask it to stop at the next safe point; a second one insists."""

    _CODES: ClassVar[Mapping[signal.Signals, ExitCode]] = {
        signal.SIGINT: ExitCode.CANCELLED,
        signal.SIGTERM: ExitCode.TERMINATED,
        signal.SIGHUP: ExitCode.HANGUP,
    }

    def __init__(self, runner: Runner, console: Console) -> None:
        self._runner = runner
        self._console = console
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> None:
        for number in self._CODES:
            self._before[number] = signal.signal(number, self._handle)

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._runner.reporter.is_stopping and number == signal.SIGINT:
            self._console.print("still stopping at the next safe point; nothing is lost by waiting")
        self._runner.reporter.request_stop(self._CODES[signal.Signals(number)])


def _show(bar: Progress, task: TaskID, snapshot: Snapshot) -> None:
    bar.update(
        task, description=plain(snapshot.what, 40), completed=snapshot.done, total=snapshot.total, snapshot=snapshot
    )


def _amount(snapshot: Snapshot) -> str:
    if snapshot.unit == "bytes":
        done = humanize.naturalsize(snapshot.done, binary=True)
        total = f" of {humanize.naturalsize(snapshot.total, binary=True)}" if snapshot.total else ""
    else:
        done, total = f"{snapshot.done:,}", f" of {snapshot.total:,}" if snapshot.total else ""
    share = f" ({min(1.0, snapshot.done / snapshot.total):.0%})" if snapshot.total else ""
    unit = "" if snapshot.unit == "bytes" else f" {snapshot.unit}"
    return f"{done}{total}{unit}{share}"


def _speed(meter: RateMeter, snapshot: Snapshot) -> str:
    rate = meter.per_second
    if rate is None:
        return ""
    speed = (
        f"{humanize.naturalsize(rate, binary=True)}/s" if snapshot.unit == "bytes" else f"{rate:,.0f} {snapshot.unit}/s"
    )
    remaining = meter.remaining_seconds(snapshot)
    eta = f", {humanize.precisedelta(round(remaining))} to go" if remaining is not None and remaining >= 1 else ""
    return f", {speed}{eta}"


_NOT_TOLD = frozenset({"path", "sha256", "html", "json", "version", "rollback_command", "live"})
"""Paths and hashes stand in the report; the line of a stage is for figures."""


def _summary(record: StageRecord) -> str:
    told = {k: v for k, v in record.summary.items() if k not in _NOT_TOLD and v not in (None, "")}
    return ", ".join(f"{key.replace('_', ' ')} {_figure(value)}" for key, value in told.items())


def _figure(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)
    return text.rpartition("/")[2] if text.startswith("/") else text


def _drain(runner: Runner) -> list[Event]:
    events = []
    while runner.reporter.events:
        events.append(runner.reporter.events.popleft())
    return events


def _can_encode(symbol: str, file: object) -> bool:
    encoding = getattr(file, "encoding", None) or sys.getdefaultencoding()
    try:
        symbol.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def stderr_console() -> Console:
    """People's output.  Colour only on a terminal and without NO_COLOR; data is never markup."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def stdout_console(file: TextIO | None = None) -> Console:
    """Results, for people or for a pipe."""
    return Console(file=file, markup=False, highlight=False, emoji=False)
