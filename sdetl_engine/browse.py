"""Looking closer at a run, for screens: cells that cleaning changed, values of a column, what a type would cost, and
what would change for readers.  Reads only: the run's own files, and the catalogs of the target.

What these functions return holds content of the source: it is for the operator's eyes, never for a log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.errors import UsageError
from sdetl_engine.postgres import carry, registry
from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.serving import count_rows
from sdetl_engine.records import CleanedResult, PreflightResult
from sdetl_engine.sqlite import ledger
from sdetl_engine.sqlite.fits import fits_sql, register_functions
from sdetl_engine.sqlite.open import open_readonly, quote
from sdetl_engine.sqlite.rewriting import Rule
from sdetl_engine.values.encodings import lenient
from sdetl_engine.values.types import Kind, TargetType

_COUNTED_ROWS = 200_000
_LONGEST = 200


@dataclasses.dataclass(frozen=True, slots=True)
class ValueCount:
    """One value of a column, cut to 200 characters, and how often it occurs among the rows counted."""

    value: str
    storage: str
    """SQLite's storage class: ``null``, ``integer``, ``real``, ``text`` or ``blob``."""
    rows: int


@dataclasses.dataclass(frozen=True, slots=True)
class TypeCost:
    """What loading a column as a type would cost: of ``rows`` values that are there, ``misfits`` cannot be held."""

    table: str
    column: str
    type: str
    rows: int
    misfits: int
    examples: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class TableContrast:
    """One table in the live version and in the candidate; rows are None on the side that has no such table."""

    table: str
    live_rows: int | None
    candidate_rows: int | None
    gained: tuple[str, ...] = ()
    """Columns that only the candidate has."""
    lost: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
    """``column: type -> type``."""


@dataclasses.dataclass(frozen=True, slots=True)
class VersionContrast:
    """The candidate beside what readers see now.  ``live`` is None when there is nothing yet."""

    serving_schema: str
    live: registry.Version | None
    serving_exists: bool
    candidate: registry.Version
    tables: tuple[TableContrast, ...]
    dependents: tuple[str, ...]
    """Objects of other schemas that are bound to the live tables."""
    readers: tuple[str, ...]
    """Roles that hold rights on the live tables."""


def changed_cells(
    run: Deployment,
    *,
    offset: int = 0,
    limit: int = 100,
    table: str | None = None,
    column: str | None = None,
    rule: str | None = None,
) -> ledger.LedgerPage:
    """A page of the ledger; rules as in ``CleanedResult.by_rule``.  Raises UsageError before the file was cleaned."""
    if not run.folder.ledger.exists():
        raise UsageError("there is no ledger yet", next_step="run the stage clean first")
    return ledger.read_page(
        run.folder.ledger, offset=offset, limit=limit, table=table, column=column, rule=Rule(rule) if rule else None
    )


def column_values(run: Deployment, table: str, column: str, *, limit: int = 20) -> tuple[ValueCount, ...]:
    """The commonest values of a column among its first 200,000 rows, as the source has them."""
    name, source = quote(column), quote(table)
    with _frozen(run) as connection:
        rows = connection.execute(
            f"SELECT CASE WHEN typeof(v) = 'blob' THEN hex(substr(v, 1, 40)) ELSE substr(v, 1, {_LONGEST}) END,"
            f" typeof(v), count(*) FROM (SELECT {name} AS v FROM {source} LIMIT {_COUNTED_ROWS})"
            " GROUP BY v ORDER BY 3 DESC, 1 LIMIT ?",
            [limit],
        ).fetchall()
    return tuple(ValueCount("" if value is None else str(value), storage, count) for value, storage, count in rows)


def type_cost(run: Deployment, table: str, column: str, type_name: str, *, examples: int = 5) -> TypeCost:
    """Ask every value of the column whether the type can hold it exactly.

    Asked of the cleaned copy when there is one; before that, of the frozen source, where dates that cleaning would
    rewrite count as misfits.  Raises UsageError for a type that sdetl does not know.
    """
    try:
        kind = TargetType.parse(type_name).kind
    except ValueError as error:
        raise UsageError(str(error), next_step="name one of these types") from None
    name, source = quote(column), quote(table)
    missing = f"{name} IS NULL" if kind is Kind.TEXT else f"({name} IS NULL OR {name} = '')"
    with _cleaned_or_frozen(run) as connection:
        register_functions(connection)
        fits = fits_sql(kind, name)
        rows, misfits = connection.execute(
            f"SELECT count(*), ifnull(sum(NOT ({fits})), 0) FROM {source} WHERE NOT {missing}"
        ).fetchone()
        found = connection.execute(
            f"SELECT substr(CAST({name} AS TEXT), 1, {_LONGEST}) FROM {source} WHERE NOT {missing} AND NOT ({fits}) LIMIT ?",
            [examples if misfits else 0],
        ).fetchall()
    return TypeCost(table, column, type_name, rows, misfits, tuple(str(value) for (value,) in found))


def contrast(run: Deployment) -> VersionContrast:
    """The run's candidate beside the version that is live now.  Raises UsageError before the candidate was loaded."""
    serving = run.settings.serving_schema
    with run.connect() as connection:
        candidate = registry.get_version(connection, run.version) if registry.exists(connection) else None
        if candidate is None:
            raise UsageError("there is no candidate yet", next_step="run the stage migrate first")
        live = registry.live_version(connection, serving)
        # Once this run is live, the version before it is what it is compared with.
        is_live = live is not None and live.version == candidate.version
        before = registry.get_version(connection, live.previous) if is_live and live and live.previous else live
        place = place_of(connection, serving) or serving
        schema = before.version if is_live and before is not None else place
        old = {} if is_live and before is None else _columns(connection, schema)
        new = _columns(connection, place if is_live else candidate.version)
        old_rows = _rows(connection, schema, before if before is not candidate else None, old)
        return VersionContrast(
            serving_schema=serving,
            live=None if is_live and before == candidate else before,
            serving_exists=bool(old),
            candidate=candidate,
            tables=_contrasted(old, new, old_rows, dict(candidate.table_rows or {})),
            dependents=tuple(f"{d.kind} {d.name}" for d in carry.dependents(connection, place)),
            readers=_readers(connection, place),
        )


def _contrasted(
    old: Mapping[str, Mapping[str, str]],
    new: Mapping[str, Mapping[str, str]],
    old_rows: Mapping[str, int],
    new_rows: Mapping[str, int],
) -> tuple[TableContrast, ...]:
    return tuple(
        TableContrast(
            table,
            old_rows.get(table) if table in old else None,
            new_rows.get(table) if table in new else None,
            gained=tuple(c for c in new.get(table, {}) if table in old and c not in old[table]),
            lost=tuple(c for c in old.get(table, {}) if table in new and c not in new[table]),
            retyped=tuple(
                f"{c}: {old[table][c]} -> {new[table][c]}"
                for c in old.get(table, {})
                if c in new.get(table, {}) and old[table][c] != new[table][c]
            ),
        )
        for table in sorted({*old, *new})
    )


def _columns(connection: psycopg.Connection[Any], schema: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_class c "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "WHERE c.relnamespace = to_regnamespace(quote_ident(%s)) AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
        "ORDER BY c.relname, a.attnum",
        [schema],
    ):
        found.setdefault(table, {})[column] = kind
    return found


def _rows(
    connection: psycopg.Connection[Any],
    schema: str,
    version: registry.Version | None,
    tables: Mapping[str, Mapping[str, str]],
) -> dict[str, int]:
    """Rows as registered; counted where no registry knows them."""
    if version is not None and version.table_rows is not None:
        return dict(version.table_rows)
    return {table: count_rows(connection, schema, table) for table in tables}


def _readers(connection: psycopg.Connection[Any], schema: str) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT DISTINCT CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(acl.grantee)::text END FROM pg_class c, "
        "aclexplode(c.relacl) acl WHERE c.relnamespace = to_regnamespace(quote_ident(%s)) AND acl.privilege_type = 'SELECT' "
        "AND acl.grantee <> c.relowner ORDER BY 1",
        [schema],
    ).fetchall()
    return tuple(name for (name,) in rows)


@contextlib.contextmanager
def _frozen(run: Deployment) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(_open(Path(run.results.load(Stage.PREFLIGHT, PreflightResult).frozen.path))) as connection:
        yield connection


@contextlib.contextmanager
def _cleaned_or_frozen(run: Deployment) -> Iterator[sqlite3.Connection]:
    if not run.results.has(Stage.CLEAN):
        with _frozen(run) as connection:
            yield connection
        return
    with contextlib.closing(_open(Path(run.results.load(Stage.CLEAN, CleanedResult).path))) as connection:
        yield connection


def _open(path: Path) -> sqlite3.Connection:
    connection = open_readonly(path)
    connection.text_factory = lenient
    return connection
