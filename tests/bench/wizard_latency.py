"""How quickly the full-screen wizard answers keys while it works, and what its screens cost the work.

    python -m tests.bench.wizard_latency [--rows 1000000] [--rounds 1] [--source FILE]

Takes one table of 15 columns through the stages up to the validation, on the bundled PostgreSQL, each time in a fresh
workspace: by ``sdetl run`` without screens, in the wizard on a pty of 80 x 24 that nobody touches, and in the wizard with
somebody who presses a key ten times a second all the while (to the next place and back, from field to field, down and up a
table, help and away again).  Prints

- the median, the 95th percentile and the worst time from a key to the arrival of what it asked for, for every kind of
  key and for every stage that was at work meanwhile,
- the longest time for which the screen stood still (its clock changes every second),
- the seconds that the migration, and all stages together, took in each of the three ways, as the journals have them.

Keys and load wait their turn behind whatever else the machine does: the load average is printed, and only numbers of one
quiet machine mean anything.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sdetl_engine import Stage
from sdetl_tui.views.purposes import purpose
from sdetl_tui.wizard import Place
from tests.bench.compare import build
from tests.terminal.operator import ROOT, Operator, at_terminal

_PATIENCE = 600.0
_BETWEEN_KEYS = 0.1
_LIMIT = 0.100
_AWAY = "away from help"
_WAYS = ("without", "untouched", "with keys")

Answers = dict[tuple[str, Stage], list[float]]
Keystrokes = Iterator[tuple[str, str, bytes]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1, help="how often each way is taken")
    parser.add_argument("--source", type=Path, help="a file that is there already instead of a new one")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sdetl-bench-"))
    folder.chmod(0o711)
    print(f"load average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores before", flush=True)
    answers: Answers = collections.defaultdict(list)
    took: dict[str, list[dict[str, float]]] = {way: [] for way in _WAYS}
    stood_still = 0.0
    try:
        source = given.source or folder / "source.db"
        if given.source is None:
            build(source, given.rows, dirty=False)
        for _ in range(given.rounds):
            for way in _WAYS:
                space = folder / "w"
                if way == "without":
                    _without_screens(source, space)
                else:
                    keys = _cycle if way == "with keys" else None
                    stood_still = max(stood_still, _in_the_wizard(source, space, keys, answers))
                took[way].append(_stage_seconds(space))
                shutil.rmtree(space)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _tell(answers, took, stood_still)


def _without_screens(source: Path, space: Path) -> None:
    command = [sys.executable, "-m", "sdetl_tui", "run", str(source), "--target", "embedded", "--until", "validate"]
    subprocess.run([*command, "--workspace", str(space)], cwd=ROOT, check=True, capture_output=True)


def _in_the_wizard(source: Path, space: Path, keys: Callable[[Operator], Keystrokes] | None, answers: Answers) -> float:
    """Up to the end of the validation; the longest silence of the screen in seconds."""
    with at_terminal(str(source), "--target", "embedded", workspace=space) as operator:
        operator.sees("Begin a new run")
        operator.press("enter")
        operator.sees("Start pre-flight")
        operator.press("g")
        operator.sees("Go on until something needs you")
        operator.press("y")
        operator.sees("backup working", seconds=_PATIENCE)
        operator.longest_silence = 0.0
        if keys is None:
            operator.sees("Go on to cutover", seconds=_PATIENCE)
        else:
            _press_all_the_while(operator, keys, answers)
        silence = operator.longest_silence
        operator.press("f10")
        operator.ends()
        return silence


def _press_all_the_while(operator: Operator, keys: Callable[[Operator], Keystrokes], answers: Answers) -> None:
    operator.press(*"," * list(Place).index(Place.BACKUP))
    operator.sees(_mark(Place.PREFLIGHT).decode())
    ends = time.monotonic() + _PATIENCE
    stage = Stage.BACKUP
    while True:
        for kind, key, mark in keys(operator):
            operator.read(_BETWEEN_KEYS)
            if kind != _AWAY:  # the page of help covers the line that names the stage
                if "working" not in operator.screen.display[-2]:
                    return
                stage = _at_work(operator) or stage
            if time.monotonic() > ends:
                raise SystemExit(f"the wizard did not get to the end of the validation:\n{operator.shown()}")
            answers[kind, stage].append(operator.answer(key, mark))


def _at_work(operator: Operator) -> Stage | None:
    """The stage that the line above the keys names; None for a moment between two."""
    status = operator.screen.display[-2]
    return next((stage for stage in Stage if f"{stage} working" in status), None)


def _cycle(operator: Operator) -> Keystrokes:
    """Kind of key, the key, and the bytes that its answer brings: begins and ends on the pre-flight."""
    yield "next place", ".", _mark(Place.BACKUP)
    yield "next place", ",", b"Measured"
    yield "field to field", "tab", b"Go to "
    first, second = _first_rows(operator)
    yield "along a table", "down", second
    yield "along a table", "up", first
    yield "field to field", "tab", b"Go to "
    yield "help", "f1", b"Help: "
    yield _AWAY, "esc", b"10 report"


def _mark(place: Place) -> bytes:
    """The beginning of what stands at the head of a place, short enough never to be wrapped."""
    return purpose(place)[:20].encode()


def _first_rows(operator: Operator) -> tuple[bytes, bytes]:
    """The names of the first two checks of the pre-flight's table."""
    operator.sees("Verdict", "Measured")
    lines = operator.screen.display
    header = next(n for n, text in enumerate(lines) if "Verdict" in text and "Check" in text)
    begins, ends = lines[header].index("Check"), lines[header].index("Measured")
    names = [lines[header + n][begins:ends].strip() for n in (1, 2)]
    return names[0].encode(), names[1].encode()


def _stage_seconds(space: Path) -> dict[str, float]:
    """What the journal of the workspace's only run says about its stages."""
    (journal,) = space.glob("runs/*/journal.jsonl")
    facts = [json.loads(text) for text in journal.read_text(encoding="utf-8").splitlines()]
    seconds = {f["stage"]: float(f["seconds"]) for f in facts if f["event"] == "stage_finished"}
    if Stage.VALIDATE not in seconds:
        raise SystemExit(f"the run did not get to the end of the validation: {sorted(seconds)}")
    return {**seconds, "all stages": sum(seconds.values())}


def _tell(answers: Answers, took: dict[str, list[dict[str, float]]], stood_still: float) -> None:
    print(f"load average {os.getloadavg()[0]:.2f} after; {sum(map(len, answers.values())):,} keys answered at work")
    for title, place in (("kind of key", 0), ("stage at work", 1)):
        print(f"  {title:<16}{'keys':>6}{'median':>9}{'p95':>9}{'worst':>9}")
        names = list(dict.fromkeys(kind[place] for kind in answers))
        for name in [*names, *(["all"] if place else [])]:
            _row(str(name), [t for kind, times in answers.items() if name in (kind[place], "all") for t in times])
    print(f"  the screen stood still for {stood_still:.2f} s at most")
    print(f"  {'seconds':<16}" + "".join(f"{way:>12}" for way in took))
    for stage in ("profile", "clean", "canary", "migrate", "validate", "all stages"):
        medians = [statistics.median(run[stage] for run in runs) for runs in took.values()]
        slower = "".join(f"  {(m / medians[0] - 1):+.1%}" for m in medians[1:])
        print(f"  {stage:<16}" + "".join(f"{m:12.2f}" for m in medians) + slower)


def _row(name: str, times: list[float]) -> None:
    times = sorted(times)
    p95 = times[min(len(times) - 1, round(0.95 * len(times)))]
    shown = "".join(f"{t * 1000:>6.0f} ms" for t in (statistics.median(times), p95, times[-1]))
    print(f"  {name:<16}{len(times):>6}{shown}" + ("" if p95 <= _LIMIT else "   over 100 ms"))


if __name__ == "__main__":
    main()
