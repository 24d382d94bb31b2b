"""The structured log: one strict, ASCII-only JSON object per line, with timestamp, level, gate and message.

Gates are the names that existing monitoring looks for.  Strings are made harmless by JSON's own escaping;
what callers put in ``context`` are names and counts, never cells and never connection strings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

from sdetl_engine.checklist import Stage

GATES: Mapping[Stage, str] = {
    Stage.PREFLIGHT: "Gate0_Prerequisites",
    Stage.BACKUP: "Gate0_Prerequisites",
    Stage.PROFILE: "Gate1_Profiler",
    Stage.CLEAN: "Gate2_Cleaner",
    Stage.SCORE: "Gate2_Cleaner",
    Stage.CANARY: "Gate3_Migration",
    Stage.MIGRATE: "Gate3_Migration",
    Stage.VALIDATE: "Gate3_Migration",
    Stage.CUTOVER: "Gate3_Migration",
    Stage.REPORT: "Gate3_Migration",
}
_LONGEST = 2000


class RunLog:
    """The log of one run, in ``log.jsonl`` of its folder.  A disk that refuses costs lines, not the run."""

    def __init__(self, path: Path, run_id: str) -> None:
        self._file: TextIO = os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="ascii"
        )
        self.lost_lines = 0
        self._logger = structlog.wrap_logger(
            structlog.WriteLogger(self._file),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _shorten,
                _render,
            ],
            run_id=run_id,
        )

    def write(self, level: str, stage: Stage | None, message: str, **context: object) -> None:
        """Append one line."""
        gate = GATES[stage] if stage else "Run"
        try:
            getattr(self._logger, level)(message, gate=gate, stage=str(stage or ""), **context)
        except OSError:
            self.lost_lines += 1

    def close(self) -> None:
        """Close the file; further lines are lost."""
        self._file.close()


def _shorten(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {k: v[:_LONGEST] if isinstance(v, str) else v for k, v in event.items()}


def _render(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
    ordered = {key: event.pop(key, "") for key in ("timestamp", "level", "gate")}
    ordered["message"] = event.pop("event", "")
    return json.dumps({**ordered, **event}, ensure_ascii=True, allow_nan=False, default=str)
