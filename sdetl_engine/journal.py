"""The run's durable record: one JSON object per line, each carrying the SHA-256 of the line before.

Every line is on disk (fsync) before the call that wrote it returns, so that what the journal says was begun
or decided survives any death.  A torn last line (a crash while writing) is set aside with a note; damage
anywhere else makes the journal unusable, because what cannot be trusted must not be guessed at.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sdetl_engine.errors import EnvironmentFailed

FORMAT = 1
_START = "0" * 64


class JournalDamaged(EnvironmentFailed):
    """A line in the middle was altered, or lines are missing."""

    kind = "journal"


class Journal:
    """Append-only.  Only the process that holds the run's lock writes to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn_tail = False
        self._records: list[Mapping[str, Any]] = list(self._read())
        self._last = _digest(self._records[-1]) if self._records else _START

    @property
    def records(self) -> tuple[Mapping[str, Any], ...]:
        """All records so far, oldest first."""
        return tuple(self._records)

    def write(self, event: str, **fields: object) -> Mapping[str, Any]:
        """Append a record.  ``fields`` must be JSON; ``seq``, ``at`` and ``prev`` are added."""
        record: dict[str, Any] = {
            "seq": len(self._records) + 1,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            **fields,
            "prev": self._last,
        }
        line = _line(record)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        descriptor = os.open(self.path, flags, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._records.append(record)
        self._last = _digest(record)
        return record

    def last(self, event: str, **match: object) -> Mapping[str, Any] | None:
        """The newest record of that event whose fields equal ``match``, or None."""
        matching = (
            r for r in reversed(self._records) if r["event"] == event and all(r.get(k) == v for k, v in match.items())
        )
        return next(matching, None)

    def _read(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole, _, tail = content.rpartition(b"\n")
        if tail:
            self.torn_tail = True
            self._set_tail_aside(len(content) - len(tail), tail)
        previous = _START
        for number, line in enumerate(whole.splitlines(), start=1):
            record = self._parse(line, number)
            if record.get("prev") != previous or record.get("seq") != number:
                raise self._damaged(number)
            previous = _digest(record)
            yield record

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except ValueError:
            raise self._damaged(number) from None
        if not isinstance(record, dict) or _line(record).rstrip(b"\n") != line:
            raise self._damaged(number)
        return record

    def _set_tail_aside(self, length: int, tail: bytes) -> None:
        with self.path.with_suffix(".torn").open("ab") as file:
            file.write(tail + b"\n")
        os.truncate(self.path, length)

    def _damaged(self, number: int) -> JournalDamaged:
        return JournalDamaged(
            f"the journal {self.path} is damaged at line {number}",
            left_behind="the run's folder as it is",
            next_step="start a new run; this one cannot be resumed",
        )


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(_line(record)).hexdigest()
