"""What an SQLite file declares, read from its pragmas and, where these are silent, from its CREATE statements."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sdetl_engine.errors import SourceError
from sdetl_engine.sqlite.guard import unreadable
from sdetl_engine.sqlite.sqltext import ParsedColumn, ParsedForeignKey, ParsedTable, parse_index, parse_table
from sdetl_engine.values.schema import Column, ForeignKey, Index, IndexTerm, Schema, SchemaObject, Table

_VIRTUAL, _STORED = 2, 3
"""``hidden`` of a generated column in ``PRAGMA table_xinfo``."""
_EXPRESSION, _ROWID = -2, -1
"""``cid`` of an index term that is no column in ``PRAGMA index_xinfo``."""


def read_schema(connection: sqlite3.Connection, *, exclude_tables: Collection[str] = ()) -> Schema:
    """Everything that the file declares, without SQLite's own ``sqlite_...`` tables and ``exclude_tables``.

    Tables come in the order of their names.  Virtual tables, the shadow tables behind them, views and triggers
    stand in ``others``.  Foreign keys are resolved against all tables of the file, excluded ones included.
    Raises SourceError when the schema is damaged or holds a name that is not UTF-8.
    """
    try:
        return _SchemaReader(connection).read({name.lower() for name in exclude_tables})
    except sqlite3.DatabaseError as error:
        if "decode to UTF-8" in str(error):
            raise SourceError(
                "a table, column or index of the source has a name that is not UTF-8",
                kind="source-malformed",
                next_step="rename it in the source (ALTER TABLE ... RENAME) and start again",
            ) from None
        raise unreadable(error) from None


@dataclasses.dataclass(frozen=True, slots=True)
class _Listed:
    """A row of ``PRAGMA table_list``."""

    name: str
    kind: str
    without_rowid: bool
    strict: bool


class _SchemaReader:
    """One reading of one file: what all tables share is fetched once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._listed = self._list_tables()
        self._sql = {
            (kind, name): sql or ""
            for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_schema")
        }
        self._columns = {table.name: self._table_columns(table.name) for table in self._listed if table.kind == "table"}
        self._real_names = {name.lower(): name for name in self._columns}
        self._sequences = self._read_sequences()

    def read(self, excluded: Collection[str]) -> Schema:
        tables = tuple(
            self._table(table) for table in self._listed if table.kind == "table" and table.name.lower() not in excluded
        )
        (encoding,) = self._connection.execute("PRAGMA encoding").fetchone()
        return Schema(tables, self._others(), encoding)

    def _list_tables(self) -> list[_Listed]:
        rows = self._connection.execute(
            "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main' ORDER BY name"
        )
        return [
            _Listed(name, kind, bool(without_rowid), bool(strict))
            for name, kind, without_rowid, strict in rows
            if not name.lower().startswith("sqlite_")
        ]

    def _others(self) -> tuple[SchemaObject, ...]:
        kinds = {"virtual", "shadow", "view"}
        objects = [
            SchemaObject(
                table.kind, table.name, self._sql.get(("view" if table.kind == "view" else "table", table.name), "")
            )
            for table in self._listed
            if table.kind in kinds
        ]
        triggers = self._connection.execute(
            "SELECT name, sql, tbl_name FROM sqlite_schema WHERE type = 'trigger' ORDER BY name"
        )
        objects += [SchemaObject("trigger", name, sql or "", table) for name, sql, table in triggers]
        return tuple(objects)

    def _read_sequences(self) -> Mapping[str, int]:
        if ("table", "sqlite_sequence") not in self._sql:
            return {}
        rows = self._connection.execute("SELECT name, seq FROM sqlite_sequence WHERE typeof(seq) = 'integer'")
        return {name: seq for name, seq in rows if isinstance(name, str)}

    def _table_columns(self, table: str) -> tuple[Column, ...]:
        """The columns as the pragma has them."""
        rows = self._connection.execute(
            'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid', (table,)
        )
        return tuple(
            Column(
                name=name,
                declared=declared,
                not_null=bool(not_null),
                default=default,
                key_position=position,
                generated={_VIRTUAL: "virtual", _STORED: "stored"}.get(hidden),
            )
            for name, declared, not_null, default, position, hidden in rows
        )

    def _table(self, listed: _Listed) -> Table:
        sql = self._sql.get(("table", listed.name), "")
        parsed = parse_table(sql)
        columns = _with_text(self._columns[listed.name], parsed.columns)
        indexes = self._indexes(listed.name)
        key = self._key(listed.name)
        # The pragma lists an index for every primary key but the one that is the rowid itself.
        is_rowid = not listed.without_rowid and len(key) == 1 and all(index.origin != "pk" for index in indexes)
        return Table(
            name=listed.name,
            columns=columns,
            primary_key=key,
            rowid_alias=key[0] if is_rowid else None,
            has_rowid=not listed.without_rowid,
            strict=listed.strict,
            autoincrement=parsed.autoincrement,
            sequence=self._sequences.get(listed.name),
            indexes=indexes,
            foreign_keys=self._foreign_keys(listed.name, parsed),
            checks=parsed.checks,
            sql=sql,
        )

    def _key(self, table: str) -> tuple[str, ...]:
        members = [column for column in self._columns[table] if column.key_position]
        return tuple(column.name for column in sorted(members, key=lambda column: column.key_position))

    def _indexes(self, table: str) -> tuple[Index, ...]:
        rows = self._connection.execute(
            'SELECT name, "unique", origin FROM pragma_index_list(?) ORDER BY seq DESC', (table,)
        ).fetchall()
        return tuple(self._index(name, bool(unique), origin) for name, unique, origin in rows)

    def _index(self, name: str, unique: bool, origin: str) -> Index:
        parsed = parse_index(self._sql.get(("index", name), ""))
        rows = self._connection.execute(
            'SELECT seqno, cid, name, "desc", coll FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno', (name,)
        )
        terms = []
        for number, cid, column, descending, collation in rows:
            is_column = cid not in (_EXPRESSION, _ROWID)
            written = parsed.terms[number] if not is_column and number < len(parsed.terms) else None
            terms.append(
                IndexTerm(column if is_column else None, written, bool(descending), (collation or "BINARY").upper())
            )
        return Index(name, tuple(terms), unique, origin, parsed.where)

    def _foreign_keys(self, table: str, parsed: ParsedTable) -> tuple[ForeignKey, ...]:
        """In the order of the text; the pragma numbers them from the last to the first."""
        rows = self._connection.execute(
            'SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq',
            (table,),
        )
        grouped: dict[int, list[tuple[str, str, str | None, str, str]]] = defaultdict(list)
        for number, *rest in rows:
            grouped[number].append((rest[0], rest[1], rest[2], rest[3], rest[4]))
        keys = [self._foreign_key(grouped[number]) for number in sorted(grouped, reverse=True)]
        parents = [key.parent.lower() for key in keys]
        written = parsed.foreign_keys if [key.parent.lower() for key in parsed.foreign_keys] == parents else ()
        return tuple(_deferred(key, written[place]) if written else key for place, key in enumerate(keys))

    def _foreign_key(self, rows: Sequence[tuple[str, str, str | None, str, str]]) -> ForeignKey:
        parent = self._real_names.get(rows[0][0].lower(), rows[0][0])
        columns = tuple(row[1] for row in rows)
        targets = tuple(row[2] for row in rows if row[2] is not None)
        return ForeignKey(
            columns=columns,
            parent=parent,
            parent_columns=self._targets(parent, targets, len(columns)),
            on_update=rows[0][3],
            on_delete=rows[0][4],
        )

    def _targets(self, parent: str, targets: tuple[str, ...], count: int) -> tuple[str, ...]:
        """The parent's columns by their real names, its key when none are named; empty when they do not exist."""
        if parent not in self._columns:
            return ()
        if not targets:
            key = self._key(parent)
            return key if len(key) == count else ()
        real = {column.name.lower(): column.name for column in self._columns[parent]}
        found = tuple(real[target.lower()] for target in targets if target.lower() in real)
        return found if len(found) == count else ()


def _with_text(columns: tuple[Column, ...], parsed: tuple[ParsedColumn, ...]) -> tuple[Column, ...]:
    """Add to each column what only the text says about it."""
    by_name = {column.name.lower(): column for column in parsed}
    return tuple(
        dataclasses.replace(
            column,
            generation=by_name[column.name.lower()].generation,
            collation=(by_name[column.name.lower()].collation or "BINARY").upper(),
        )
        if column.name.lower() in by_name
        else column
        for column in columns
    )


def _deferred(key: ForeignKey, written: ParsedForeignKey) -> ForeignKey:
    return dataclasses.replace(key, deferrable=written.deferrable, initially_deferred=written.initially_deferred)
