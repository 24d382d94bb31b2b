"""What finished stages found, kept in the run's folder so that a later process can go on from there.

Each result is a frozen dataclass; pydantic turns it into JSON and back, checking types on the way in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from sdetl_engine.checklist import Stage
from sdetl_engine.errors import EnvironmentFailed
from sdetl_engine.files import private_folder, sha256_of, write_atomically
from sdetl_engine.findings import StageResult

Result = TypeVar("Result")


class ResultStore:
    """Results by stage, in ``results/<stage>.json``; each is read at most once per process."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_folder(folder)
        self._cache: dict[Stage, Any] = {}

    def save(self, stage: Stage, result: StageResult) -> str:
        """Write the result; returns the SHA-256 of the file, for the journal."""
        path = self._path(stage)
        write_atomically(path, TypeAdapter(type(result)).dump_json(result))
        self._cache[stage] = result
        return sha256_of(path)

    def load(self, stage: Stage, kind: type[Result]) -> Result:
        """The result of a finished stage.  Raises EnvironmentFailed when it is missing or was altered."""
        if stage not in self._cache:
            try:
                self._cache[stage] = TypeAdapter(kind).validate_json(self._path(stage).read_bytes())
            except (OSError, ValidationError) as error:
                raise EnvironmentFailed(
                    f"the result of stage {stage} in {self._folder} cannot be read ({type(error).__name__})",
                    left_behind="the run's folder as it is",
                    next_step="start a new run",
                    kind="resume",
                ) from None
        result: Result = self._cache[stage]
        return result

    def has(self, stage: Stage) -> bool:
        """True when the stage has left a result."""
        return stage in self._cache or self._path(stage).exists()

    def digest(self, stage: Stage) -> str | None:
        """SHA-256 of the stored result, or None when there is none."""
        path = self._path(stage)
        return sha256_of(path) if path.exists() else None

    def forget(self, stage: Stage) -> None:
        """Drop the result of a stage that is to run again."""
        self._cache.pop(stage, None)
        self._path(stage).unlink(missing_ok=True)

    def _path(self, stage: Stage) -> Path:
        return self._folder / f"{stage}.json"
