"""Views in a version: created in the order of what they read, kept when both sides give the same rows.

SQLite answers from the file that was loaded, PostgreSQL from what it holds.  Rows are compared as a multiset: how many
there are, and the sum of the digests of their canonical texts, so that memory does not grow with the rows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.errors import Cancelled
from sdetl_engine.events import Reporter
from sdetl_engine.postgres.attempt import attempt, reason
from sdetl_engine.postgres.finish import trusted
from sdetl_engine.postgres.plan import NotMigrated, VersionPlan, ViewPlan
from sdetl_engine.sqlite.open import open_readonly, quote
from sdetl_engine.values.types import DATE_KINDS, Kind
from sdetl_engine.wording import counted

_MODULUS = 2**128
_STEPS = 100_000
_DIGITS = 12
"""Significant digits to which doubles must agree: sums depend on the order of addition."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Result:
    """What a view gives: rows, and the sum of their digests."""

    rows: int
    digest: int


class _TooSlow(Exception):
    pass


def create_views(
    connection: psycopg.Connection[Any],
    schema: str,
    plan: VersionPlan,
    path: Path,
    reporter: Reporter,
    *,
    seconds: float,
) -> tuple[tuple[str, ...], tuple[NotMigrated, ...]]:
    """Names of the views that stand in the schema now, and those that do not, with the reason.

    Runs in the connection's transaction.  ``seconds``: how long either side may take to answer.  Raises TargetError
    when the server is the matter, Cancelled.
    """
    if not plan.views:
        return (), ()
    created: list[str] = []
    missed: list[NotMigrated] = []
    row = connection.execute("SELECT current_setting('search_path'), current_setting('statement_timeout')").fetchone()
    assert row is not None
    with contextlib.closing(open_readonly(path)) as source:
        source.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
        # A sample has the tables alone.
        there = {name for (name,) in source.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")}
        connection.execute("SELECT set_config('search_path', quote_ident(%s), true)", [schema])
        for number, view in enumerate(v for v in plan.views if v.source_name in there):
            reporter.progress("views", number, len(plan.views), "views")
            reporter.check()
            why = _create(connection, source, view, reporter, seconds)
            if why is None:
                created.append(view.name)
            else:
                missed.append(NotMigrated("view", view.source_name, None, why, view.definition))
        connection.execute(
            "SELECT set_config('search_path', %s, true), set_config('statement_timeout', %s, true)", list(row)
        )
    return tuple(created), tuple(missed)


def _create(
    connection: psycopg.Connection[Any], source: sqlite3.Connection, view: ViewPlan, reporter: Reporter, seconds: float
) -> str | None:
    """Create one view and compare; the reason when it does not stay."""
    try:
        names, expected = _ask_sqlite(source, view, reporter, seconds)
    except sqlite3.Error as error:
        return f"SQLite cannot read it: {error}"
    except _TooSlow:
        return f"SQLite took more than {seconds:g} seconds to answer, so that the results could not be compared"
    connection.execute("SAVEPOINT sdetl_view")
    why = _try(connection, view, names, expected, seconds)
    if why is not None:
        connection.execute("ROLLBACK TO SAVEPOINT sdetl_view")
    connection.execute("RELEASE SAVEPOINT sdetl_view")
    return why


def _try(
    connection: psycopg.Connection[Any], view: ViewPlan, names: Sequence[str], expected: _Result, seconds: float
) -> str | None:
    if len(names) != len(view.kinds):
        return "it was read with another number of columns than SQLite gives"
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    statement = sql.SQL("CREATE VIEW {} ({}) AS {}").format(sql.Identifier(view.name), columns, trusted(view.sql))
    refused = attempt(connection, statement, f"creating view {view.name}")
    if refused is not None:
        return reason(refused)
    try:
        actual = _ask_postgres(connection, view, names, seconds)
    except psycopg.errors.QueryCanceled:
        return f"PostgreSQL took more than {seconds:g} seconds to answer, so that the results could not be compared"
    except psycopg.Error as error:
        return reason(error)
    if actual == expected:
        return None
    if actual.rows != expected.rows:
        return f"its results differ: SQLite gives {counted(expected.rows, 'row')}, PostgreSQL {actual.rows:,}"
    return f"its results differ in the content of its {counted(expected.rows, 'row')}"


def _ask_sqlite(
    source: sqlite3.Connection, view: ViewPlan, reporter: Reporter, seconds: float
) -> tuple[list[str], _Result]:
    deadline = time.monotonic() + seconds
    stopped: list[Exception] = []

    def watch() -> int:
        # What a progress handler raises is lost in sqlite3; it is kept here and raised below.
        try:
            reporter.check()
        except Cancelled as asked:
            stopped.append(asked)
        if time.monotonic() > deadline:
            stopped.append(_TooSlow())
        return len(stopped)

    source.set_progress_handler(watch, _STEPS)
    try:
        cursor = source.execute(f"SELECT * FROM {quote(view.source_name)}")
        names = [column[0] for column in cursor.description]
        return names, _digest(cursor, view.kinds)
    except sqlite3.OperationalError:
        if stopped:
            raise stopped[0] from None
        raise
    finally:
        source.set_progress_handler(None, 0)


def _ask_postgres(connection: psycopg.Connection[Any], view: ViewPlan, names: Sequence[str], seconds: float) -> _Result:
    connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(int(seconds * 1000))])
    terms = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in names)
    with connection.cursor(name="sdetl_view") as cursor:
        cursor.itersize = 1000
        cursor.execute(sql.SQL("SELECT {} FROM {}").format(terms, sql.Identifier(view.name)))
        return _digest(cursor, view.kinds)


def _digest(rows: Iterable[Sequence[object]], kinds: Sequence[Kind | None]) -> _Result:
    count = total = 0
    for row in rows:
        text = "\x1f".join(_canonical(kinds, row))
        total = (
            total + int.from_bytes(hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest())
        ) % _MODULUS
        count += 1
    return _Result(count, total)


def _canonical(kinds: Sequence[Kind | None], row: Sequence[object]) -> Iterator[str]:
    for kind, value in zip(kinds, row, strict=True):
        yield "\x00" if value is None else _text(kind, value)


def _text(kind: Kind | None, value: object) -> str:
    """The value as a text that both sides agree on."""
    try:
        if kind in (Kind.DOUBLE, Kind.NUMERIC):
            return f"{float(str(value)) + 0.0:.{_DIGITS}g}"
        if kind is Kind.INTEGER:
            return str(int(float(value)) if isinstance(value, float) else int(str(value)))
        if kind is Kind.BOOLEAN:
            return "1" if str(value).lower() in ("1", "true", "t", "yes", "y") else "0"
        if kind in DATE_KINDS:
            moment = datetime.datetime.fromisoformat(str(value))
            return (moment.astimezone(datetime.UTC) if moment.tzinfo else moment).isoformat()
    except (ValueError, OverflowError):
        pass
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return str(value)
