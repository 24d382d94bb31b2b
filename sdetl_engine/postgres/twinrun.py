"""The dashboards' queries on the live version and on the candidate, beside each other, before anybody switches.

All in one transaction that is rolled back, so that both sides see one snapshot and one ``now()``.  The candidate is asked
under the serving name, by the two renames that the switch makes (without its locks: other sessions go on reading the
live version), and as the readers' role with what the switch will carry over for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.errors import TargetError
from sdetl_engine.events import Reporter
from sdetl_engine.grafana.answers import Answer
from sdetl_engine.grafana.dashboards import Dashboard
from sdetl_engine.grafana.shape import shape_of
from sdetl_engine.grafana.twins import Contrast, TwinVerdict, contrast
from sdetl_engine.postgres import registry
from sdetl_engine.postgres.carry.belongings import Belongings, give
from sdetl_engine.postgres.carry.changes import Changes, qualified_names
from sdetl_engine.postgres.content import table_content, table_names
from sdetl_engine.postgres.panels import PanelOutcome, run_dashboards, run_panel
from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.search_paths import Path, led, read_paths, schemas_of_service, spelled
from sdetl_engine.postgres.serving import count_rows
from sdetl_engine.postgres.switch import rename_schema
from sdetl_engine.settings import DashboardSettings


@dataclasses.dataclass(frozen=True, slots=True)
class DataChange:
    """How the tables that a query reads differ between the versions.

    ``share``: the largest share by which the rows of one of them differ; ``equal``: all of them hold the same.
    """

    share: float
    equal: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Twin:
    """One query on both versions.  ``live`` is None when there is no version to compare with.

    ``chooses``: the query may choose other rows among equals each time; ``data`` is known for changed answers.
    """

    candidate: PanelOutcome
    live: PanelOutcome | None = None
    found: Contrast | None = None
    data: DataChange | None = None
    chooses: bool = False

    @property
    def times_slower(self) -> float:
        """How many times as long as the live version the candidate took."""
        if self.live is None or not (self.live.ok and self.candidate.ok):
            return 1.0
        return self.candidate.milliseconds / max(self.live.milliseconds, 1.0)


@dataclasses.dataclass(frozen=True, slots=True)
class TwinRun:
    """Every query of every panel.  ``compared_with``: the live version, or the serving schema that nobody manages."""

    twins: tuple[Twin, ...]
    compared_with: str | None


def run_twins(
    connection: psycopg.Connection[Any],
    version: str,
    serving_schema: str,
    dashboards: Sequence[Dashboard],
    settings: DashboardSettings,
    reporter: Reporter,
    led_roles: Sequence[str] = (),
) -> TwinRun:
    """Ask both versions; the connection is fresh, and its transaction rolled back.  Raises TargetError, Cancelled.

    ``led_roles``: the roles whose ``search_path`` will lead to the candidate, which then keeps its own name.
    """
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.prepare_threshold = None
    try:
        return _Rehearsal(connection, version, serving_schema, dashboards, settings, reporter, led_roles).run()
    finally:
        if not connection.closed:
            connection.rollback()


class _Rehearsal:
    """Both sides in one transaction, at one moment."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        version: str,
        serving_schema: str,
        dashboards: Sequence[Dashboard],
        settings: DashboardSettings,
        reporter: Reporter,
        led_roles: Sequence[str],
    ) -> None:
        self._connection, self._version, self._serving = connection, version, serving_schema
        self._place = place_of(connection, serving_schema)
        self._led_roles = led_roles
        self._ours = schemas_of_service(connection, serving_schema) if led_roles else frozenset[str]()
        self._dashboards, self._settings, self._reporter = dashboards, settings, reporter
        self._login = settings.role or next(iter(led_roles), None)
        self._path = read_paths(connection, [self._login]).get(self._login) if self._login is not None else None
        """The ``search_path`` that dashboards' sessions get now; None where nobody says as whom they log in."""
        self._now = datetime.now(UTC)
        self._changes: dict[str, DataChange] = {}

    def run(self) -> TwinRun:
        live = registry.live_version(self._connection, self._serving)
        if self._place is None:
            with self._candidate_in_place(None):
                return TwinRun(tuple(map(Twin, self._ask("try the dashboards"))), None)
        aside = live.version if live is not None else f"{self._version}_aside"
        before: Sequence[PanelOutcome] = ()
        if self._settings.compare:
            with self._as_reader(self._path):
                before = self._ask("try the dashboards on the live version")
        with self._candidate_in_place(aside):
            after = self._ask("try the dashboards on the candidate")
            if not before:
                return TwinRun(tuple(map(Twin, after)), None)
            after = tuple(self._timed_again(a, b) for a, b in zip(before, after, strict=True))
        twins = tuple(self._compared(a, b) for a, b in zip(before, after, strict=True))
        return TwinRun(twins, live.version if live is not None else self._serving)

    def _path_afterwards(self) -> Path | None:
        """The same after the switch; a role that is not led stays where it is."""
        is_led = self._path is not None and self._login in self._led_roles
        return led(self._path, self._ours, self._version) if is_led and self._path is not None else self._path

    def _ask(self, what: str) -> tuple[PanelOutcome, ...]:
        return run_dashboards(
            self._connection,
            self._dashboards,
            self._settings,
            reporter=self._reporter,
            now=self._now,
            keep_rows=self._settings.compare_rows,
            what=what,
        )

    @contextlib.contextmanager
    def _candidate_in_place(self, aside: str | None) -> Iterator[None]:
        """The candidate under the serving name, the live version ``aside`` for as long; read as the readers do."""
        connection = self._connection
        with _undone(connection):
            if aside is None:
                rename_schema(connection, self._version, self._serving)
            else:
                with qualified_names(connection):
                    if self._place is not None and self._place != self._serving:
                        rename_schema(connection, self._place, self._serving)
                    belongings = Belongings.read(connection, self._serving)
                    rename_schema(connection, self._serving, aside)
                    rename_schema(connection, self._version, self._serving)
                    give(Changes(connection), belongings, to_new=True)
            if self._led_roles:
                rename_schema(connection, self._serving, self._version)
            with self._as_reader(self._path_afterwards()):
                yield

    @contextlib.contextmanager
    def _as_reader(self, path: Path | None) -> Iterator[None]:
        role = self._settings.role
        with _undone(self._connection):
            if path is not None:
                self._connection.execute("SELECT set_config('search_path', %s, true)", [spelled(path)])
            if role is not None:
                _become(self._connection, role)
            self._connection.execute("SET LOCAL row_security = on")
            yield

    def _timed_again(self, live: PanelOutcome, candidate: PanelOutcome) -> PanelOutcome:
        """What seems slower is asked once more: the first time may have waited for the disk or for a neighbour."""
        seems = Twin(candidate, live).times_slower >= self._settings.slower_times
        if not seems or candidate.milliseconds < self._settings.slower_seconds * 1000:
            return candidate
        again = run_panel(self._connection, candidate.sql, timeout_seconds=self._settings.timeout_seconds)
        self._reporter.check()
        if not again.ok:
            return candidate
        return dataclasses.replace(candidate, milliseconds=min(candidate.milliseconds, again.milliseconds))

    def _compared(self, live: PanelOutcome, candidate: PanelOutcome) -> Twin:
        if candidate.skipped is not None:
            return Twin(candidate)
        shape = shape_of(candidate.sql, "" if self._led_roles else self._serving)
        found = contrast(_with_reason(live), _with_reason(candidate), shape)
        data = self._data(shape.tables) if found.verdict in (TwinVerdict.CHANGED, TwinVerdict.EMPTY) else None
        return Twin(candidate, live, found, data, shape.chooses)

    def _data(self, tables: frozenset[str] | None) -> DataChange:
        """How those tables differ between the versions; all of them where a view is read, or it is not known what."""
        here, there = (frozenset(table_names(self._connection, s)) for s in self._sides)
        if tables is None or not tables <= here | there:
            tables = here | there
        for table in tables - self._changes.keys():
            self._reporter.check()
            both = table in here and table in there
            self._changes[table] = self._table(table) if both else DataChange(1.0, equal=False)
        changes = [self._changes[table] for table in tables]
        return DataChange(max((c.share for c in changes), default=0.0), all(c.equal for c in changes))

    @property
    def _sides(self) -> tuple[str, str]:
        """The schemas of the live version and of the candidate."""
        return self._place or self._serving, self._version

    def _table(self, table: str) -> DataChange:
        live, candidate = (count_rows(self._connection, schema, table) for schema in self._sides)
        if live != candidate:
            return DataChange(abs(candidate - live) / max(live, 1), equal=False)
        contents = [table_content(self._connection, schema, table) for schema in self._sides]
        return DataChange(0.0, equal=contents[0] == contents[1])


@contextlib.contextmanager
def _undone(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A part of the transaction that is rolled back, roles and settings included."""
    connection.execute("SAVEPOINT sdetl_twin")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK TO SAVEPOINT sdetl_twin")
            connection.execute("RELEASE SAVEPOINT sdetl_twin")


def _with_reason(outcome: PanelOutcome) -> Answer:
    """The answer; one that never came to be asked has the reason for it."""
    return dataclasses.replace(outcome.answer, ok=outcome.ok, error=outcome.error)


def _become(connection: psycopg.Connection[Any], role: str) -> None:
    try:
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    except psycopg.Error as error:
        raise TargetError(
            f"the dashboards' role {role} cannot be taken on: {error.diag.message_primary}",
            left_behind="the candidate, not live; the live version untouched",
            next_step=f"GRANT {role} TO the operator's role, or unset dashboards.role; then continue with --resume",
            kind="role",
        ) from None
