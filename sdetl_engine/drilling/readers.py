"""Readers that never stop: threads that read the serving schema in a loop while it is switched, broken and restored.

Each statement reads several tables at once and says by their OIDs which version it saw.  One that saw tables of two
versions is torn.  Every wait is measured; every error is counted, apart from those that a missing table must cause.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.drill_records import ReaderReport
from sdetl_engine.errors import SdetlError

READERS = 4
_TABLES_AT_ONCE = 6
_PAUSE_SECONDS = 0.002


class Readers:
    """Reads the first few of ``tables`` (none of them empty) of ``schema`` from entering to leaving.

    ``connect`` opens a session, once per reader.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], schema: str, tables: Sequence[str]) -> None:
        self._connect = connect
        self._schema = schema
        self.tables = tuple(tables[:_TABLES_AT_ONCE])
        self._query = _query(schema, self.tables)
        self._stop = threading.Event()
        self._expecting = threading.Event()
        self._mutex = threading.Lock()
        self._version_of: dict[int, int] = {}
        self._seen: set[tuple[int, ...]] = set()
        self._reads = self._errors = self._expected_errors = 0
        self._longest = 0.0
        self._first_error: str | None = None
        self._threads = [threading.Thread(target=self._read, name=f"drill-reader-{n}") for n in range(READERS)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def learn(self, connection: psycopg.Connection[Any], schema: str) -> None:
        """Remember which version the tables of ``schema`` belong to, for as long as they have those OIDs."""
        rows = connection.execute(
            "SELECT c.oid::bigint, c.relnamespace::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s",
            [schema],
        ).fetchall()
        self._version_of.update(dict(rows))

    def expect_errors(self, expecting: bool) -> None:
        """From now on a missing table is (or is no longer) what readers must see."""
        if expecting:
            self._expecting.set()
        else:
            self._expecting.clear()

    @property
    def expected_errors(self) -> int:
        """How often readers missed a table that was to be missing."""
        return self._expected_errors

    def report(self) -> ReaderReport:
        """What was seen until now."""
        with self._mutex:
            torn = sum(len({self._version_of.get(oid, -1) for oid in seen}) > 1 for seen in self._seen)
            return ReaderReport(
                readers=len(self._threads),
                reads=self._reads,
                errors=self._errors,
                expected_errors=self._expected_errors,
                torn=torn,
                longest_wait_ms=self._longest * 1000,
                first_error=self._first_error,
            )

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    connection.autocommit = True
                    while not self._stop.is_set():
                        self._read_once(connection)
                        time.sleep(_PAUSE_SECONDS)
            except SdetlError as error:
                self._count_error(error.message)
                self._stop.wait(0.1)
            except psycopg.OperationalError:
                self._count_error("a reader's connection was lost")

    def _read_once(self, connection: psycopg.Connection[Any]) -> None:
        expecting = self._expecting.is_set()
        began = time.monotonic()
        try:
            row = connection.execute(self._query).fetchone()
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            missing = isinstance(error, (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName))
            if missing and (expecting or self._expecting.is_set()):
                with self._mutex:
                    self._expected_errors += 1
            else:
                self._count_error(f"SQLSTATE {error.sqlstate}: {error.diag.message_primary}")
            return
        waited = time.monotonic() - began
        assert row is not None
        with self._mutex:
            self._reads += 1
            self._longest = max(self._longest, waited)
            self._seen.add(tuple(int(oid) for oid in row))

    def _count_error(self, message: str) -> None:
        with self._mutex:
            self._errors += 1
            self._first_error = self._first_error or message


def _query(schema: str, tables: Sequence[str]) -> sql.Composed:
    """One statement over all tables; each, which is not empty, answers with its OID."""
    terms = [
        sql.SQL("(SELECT tableoid::bigint FROM {} LIMIT 1)").format(sql.Identifier(schema, table)) for table in tables
    ]
    return sql.SQL("SELECT {}").format(sql.SQL(", ").join(terms))
