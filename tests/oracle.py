"""The ledger equation once more, cell by cell in plain Python: another road than any that the engine takes."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import json
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

Cell = tuple[str, str, str]


def unexplained(source: Path, ledger: Path, conninfo: str, version: str, renamed: Mapping[str, str]) -> list[str]:
    """Cells of the live version that are not the source's, by ledger and quarantine.  Both sides in load order."""
    changed = _ledger(ledger)
    found = []
    with contextlib.closing(sqlite3.connect(source)) as lite, psycopg.connect(conninfo) as pg:
        pg.execute("SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET extra_float_digits = 3; SET bytea_output = 'hex'")
        aside = _quarantine(pg, version)
        lite.text_factory = lambda raw: _Text(raw)
        tables = lite.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for name in [raw.raw.decode() for (raw,) in tables]:
            found += _table(lite, pg, name, renamed, changed, aside)
    return found


class _Text:
    """A TEXT as it is stored; bytes are BLOBs."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


def _table(
    lite: sqlite3.Connection,
    pg: psycopg.Connection[Any],
    name: str,
    renamed: Mapping[str, str],
    changed: Mapping[Cell, object],
    aside: Mapping[Cell, bytes],
) -> list[str]:
    quoted = '"' + name.replace('"', '""') + '"'
    info = lite.execute(f"PRAGMA table_info({quoted})").fetchall()
    names = [row[1].raw.decode() for row in info]
    key = [names[row[0]] for row in sorted(info, key=lambda r: r[5]) if row[5]]
    without = (
        "WITHOUT ROWID"
        in lite.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0].raw.decode()
    )
    order = ", ".join('"' + k.replace('"', '""') + '"' for k in key) if without else "rowid"
    terms = ", ".join('"' + n.replace('"', '""') + '"' for n in names)
    rows = lite.execute(
        f"SELECT {'NULL' if without else 'rowid'}, {terms} FROM {quoted} NOT INDEXED ORDER BY {order}"
    ).fetchall()
    target = renamed.get(name, name)
    types = dict(
        pg.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attnum > 0 AND attrelid = "
            "(SELECT c.oid FROM pg_class c WHERE relname = %s AND relnamespace = 'servicedesk'::regnamespace)",
            [target],
        ).fetchall()
    )
    columns = [renamed.get(f"{name}.{n}", n) for n in names]
    assert set(columns) == set(types), (columns, types)
    held = pg.execute(
        sql.SQL("SELECT {} FROM {} ORDER BY ctid").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(c)) for c in columns),
            sql.Identifier("servicedesk", target),
        )
    ).fetchall()
    if len(rows) != len(held):
        return [f"{name}: {len(rows)} rows, {len(held)} held"]
    found = []
    for (rowid, *values), texts in zip(rows, held, strict=True):
        row_key = _key_text(rowid, [values[names.index(k)] for k in key], alias=_is_alias(info, key, without))
        shown = json.dumps([_shown(values[names.index(k)]) for k in key] or [rowid])
        for column, renamed_column, value, text in zip(names, columns, values, texts, strict=True):
            wanted = changed.get((name, row_key, column), value)
            raw = aside.get((target, shown, renamed_column))
            if raw is not None:
                good = text is None and raw == _raw(wanted)
            else:
                good = _same(wanted, text, types[renamed_column])
            if not good:
                found.append(f"{name}.{column} [{row_key}]: {_plain(wanted)!r} is {text!r} as {types[renamed_column]}")
    return found


def _is_alias(info: list[Any], key: list[str], without: bool) -> bool:
    declared = [row[2].raw.decode().upper() for row in info if row[5]]
    return len(key) == 1 and declared == ["INTEGER"] and not without


def _key_text(rowid: object, key: list[object], *, alias: bool) -> str:
    if not key:
        return str(rowid)
    if alias:
        return f"[{rowid}]"
    with contextlib.closing(sqlite3.connect(":memory:")) as scratch:
        terms = ", ".join("?" if not isinstance(k, _Text) else "CAST(? AS TEXT)" for k in key)
        values = [_json_part(k) for k in key]
        scratch.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
        text: str = scratch.execute(f"SELECT json_array({terms})", values).fetchone()[0]
        return text


def _json_part(value: object) -> Any:
    if isinstance(value, _Text):
        return value.raw
    return "\\x" + value.hex() if isinstance(value, bytes) else value


def _shown(value: object) -> object:
    raw = _plain(value)
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw


def _plain(value: object) -> Any:
    return value.raw if isinstance(value, _Text) else value


def _raw(value: object) -> bytes:
    plain = _plain(value)
    return plain if isinstance(plain, bytes) else repr(plain).encode()


def _same(value: object, text: str | None, kind: str) -> bool:
    if value is None or text is None:
        return value is None and text is None
    if kind == "bytea":
        return bytes.fromhex(text[2:]) == _raw(value)
    if isinstance(value, bytes):
        return False
    written = value.raw.decode() if isinstance(value, _Text) else repr(value)
    return _JUDGES[kind.partition("(")[0]](written, text)


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def _zoned(text: str) -> datetime.datetime:
    moment = _moment(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _floats(one: str, other: str) -> bool:
    return repr(float(one)) == repr(float(other))


_JUDGES: Mapping[str, Callable[[str, str], bool]] = {
    "bigint": lambda one, other: decimal.Decimal(one) == int(other),
    "double precision": _floats,
    "numeric": lambda one, other: decimal.Decimal(one) == decimal.Decimal(other),
    "boolean": lambda one, other: (one.lower() in ("1", "t", "true", "y", "yes")) == (other == "true"),
    "date": lambda one, other: _moment(one) == _moment(other),
    "timestamp without time zone": lambda one, other: _moment(one) == _moment(other),
    "timestamp with time zone": lambda one, other: _zoned(one) == _zoned(other),
    "time without time zone": lambda one, other: datetime.time.fromisoformat(one) == datetime.time.fromisoformat(other),
    "text": lambda one, other: one == other,
    "json": lambda one, other: one == other,
    "jsonb": lambda one, other: json.loads(one) == json.loads(other),
    "uuid": lambda one, other: uuid.UUID(one) == uuid.UUID(other),
}


def _ledger(path: Path) -> dict[Cell, object]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
        rows = connection.execute('SELECT "table", row_key, "column", after FROM ledger').fetchall()
    return {(t, k, c): _Text(after.encode()) if isinstance(after, str) else after for t, k, c, after in rows}


def _quarantine(pg: psycopg.Connection[Any], version: str) -> dict[Cell, bytes]:
    schema = f"{version}_quarantine"
    if pg.execute("SELECT to_regnamespace(quote_ident(%s)) IS NULL", [schema]).fetchone() == (True,):
        return {}
    query = sql.SQL('SELECT "table", row_key, "column", raw FROM {}').format(sql.Identifier(schema, "cells"))
    return {(t, k, c): bytes(raw) for t, k, c, raw in pg.execute(query).fetchall()}
