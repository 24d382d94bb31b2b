"""Diff: every row and cell of the original source against a version in the target, through ledger and quarantine."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sdetl_engine.checklist import Stage
from sdetl_engine.decisions import effective
from sdetl_engine.errors import UsageError
from sdetl_engine.events import Reporter
from sdetl_engine.files import sha256_of
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.records import PreflightResult, TableDiff
from sdetl_engine.results import ResultStore
from sdetl_engine.settings import Settings, load_settings
from sdetl_engine.sqlite.differences import new_differences
from sdetl_engine.sqlite.freeze import changed, fingerprint, freeze
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.steps.diffing import Basis, basis_of, diff_version
from sdetl_engine.workspace import RunFolder


@dataclasses.dataclass(frozen=True, slots=True)
class DiffResult:
    """What was compared and what came of it.  ``path``: the file of differences, for ``read_differences``."""

    version: str
    status: str
    """Where the version stands: ``live``, ``candidate`` or ``retired``."""
    schema: str
    """Where its tables are."""
    run_id: str
    source: str
    source_change: str | None
    """What is different about the source since the version was loaded from it; None when it is the same file."""
    tables: tuple[TableDiff, ...]
    not_compared: tuple[str, ...]
    """Tables and columns that were left out of the migration by decision, or that PostgreSQL has no equivalent of."""
    total: int
    by_kind: dict[str, int]
    path: str
    seconds: float
    reworked: bool = False
    """True when the run that loaded the version was not at hand: types, rules and ledger were worked out again."""

    @property
    def equal(self) -> bool:
        """True when every row and cell was compared and none differs."""
        return self.total == 0

    @property
    def rows(self) -> int:
        """Rows of the source that were compared."""
        return sum(t.rows_expected for t in self.tables)


def diff_version_of(
    folder: RunFolder,
    chosen: registry.Version,
    session: TargetSession,
    source: Path,
    output: Path,
    reporter: Reporter,
) -> DiffResult:
    """Compare ``source`` with a version, by the rules of the run in ``folder``; the differences stand in ``output``.

    Raises SourceError, TargetError, EnvironmentFailed when the run's files are not whole, Cancelled.
    """
    began = time.monotonic()
    results, run_settings = ResultStore(folder.results), load_settings(plan=folder.plan)
    run_settings = effective(run_settings, run_settings.standing_decisions)
    with _basis(folder, results, run_settings, source, reporter) as (basis, change):
        with (
            new_differences(output) as log,
            session.connect() as connection,
            reporter.interrupting(connection.cancel_safe),
        ):
            is_live = chosen.status == registry.VersionStatus.LIVE
            schema_name = (place_of(connection, chosen.serving_schema) if is_live else None) or chosen.version
            connection.rollback()
            tables = diff_version(connection, schema_name, chosen.version, basis, log, reporter)
            connection.rollback()
        left_out = [m for m in basis.plan.not_migrated if m.kind in ("table", "column", "virtual table")]
    by_kind: dict[str, int] = {}
    for (_, kind), count in log.counts.items():
        by_kind[str(kind)] = by_kind.get(str(kind), 0) + count
    return DiffResult(
        version=chosen.version,
        status=str(chosen.status),
        schema=schema_name,
        run_id=chosen.run_id or folder.run_id,
        source=str(source),
        source_change=change,
        tables=tables,
        not_compared=tuple(f"{m.table}.{m.name}" if m.table else m.name for m in left_out),
        total=sum(by_kind.values()),
        by_kind=by_kind,
        path=str(output),
        seconds=time.monotonic() - began,
    )


def choose(session: TargetSession, settings: Settings, run_id: str | None, version: str | None) -> registry.Version:
    """The version of that run, or of that name; with neither, the live one, or the newest candidate when none is live.

    Raises UsageError when there is none, or when it was not loaded by sdetl.
    """
    with session.connect() as connection:
        known = registry.all_versions(connection) if registry.exists(connection) else []
    if version is not None:
        found = [v for v in known if v.version == version]
    elif run_id is not None:
        found = [v for v in known if v.run_id == run_id]
    else:
        own = [v for v in known if v.serving_schema == settings.serving_schema]
        wanted = (registry.VersionStatus.LIVE, registry.VersionStatus.CANDIDATE)
        found = [v for status in wanted for v in own if v.status == status]
    if not found:
        what = f"version {version}" if version else f"version of run {run_id}" if run_id else "version to compare with"
        raise UsageError(f"the target has no {what}", next_step="see sdetl versions")
    if found[0].run_id is None:
        raise UsageError(
            f"{found[0].version} was not loaded by sdetl: there are no rules to compare it by",
            next_step="name another with --version; see sdetl versions",
        )
    return found[0]


@contextlib.contextmanager
def _basis(
    folder: RunFolder, results: ResultStore, settings: Settings, source: Path, reporter: Reporter
) -> Iterator[tuple[Basis, str | None]]:
    """What the version was made from, with a frozen copy of the source that lasts as long as the block."""
    preflight = results.load(Stage.PREFLIGHT, PreflightResult)
    frozen = preflight.frozen
    kept = Path(frozen.path)
    with tempfile.TemporaryDirectory(dir=folder.path, prefix=".diff-") as scratch:
        change = changed(frozen.fingerprint, fingerprint(source))
        path, schema = kept, preflight.source_schema
        if change is not None or not kept.exists() or sha256_of(kept) != frozen.sha256:
            copy = freeze(
                source, Path(scratch) / "source.db", lock_timeout=settings.source.lock_timeout, reporter=reporter
            )
            path = copy.path
            if copy.sha256 == frozen.sha256:
                change = None
            else:
                change = change or "it is not the file that was frozen"
                with contextlib.closing(open_readonly(path)) as connection:
                    schema = read_schema(connection, exclude_tables=set(settings.source.exclude_tables))
        yield basis_of(folder, results, settings, path, schema, as_measured=change is None), change
