"""Source plus ledger: the right side of ``target = source + ledger - quarantine``, without the cleaned file.

A connection to the source on which every table that the ledger names is shadowed by one of the same name, in which
each changed cell holds what the ledger says.  Whatever reads a cleaned file can read this instead.  A line of the
ledger that the source does not bear out is a :class:`Fault`, and is not applied.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from sdetl_engine.errors import SourceError
from sdetl_engine.sqlite import rewriting
from sdetl_engine.sqlite.addressing import RowKey, key_text, row_key
from sdetl_engine.sqlite.open import open_readonly, quote
from sdetl_engine.sqlite.rewriting import TableRewriting
from sdetl_engine.sqlite.shape import register_shaping
from sdetl_engine.values.schema import Table

_CREATE = re.compile(r"\s*CREATE\s+TABLE\b", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """Rows of a table whose integer key lies between ``low`` and ``high``, both included."""

    low: int
    high: int


@dataclasses.dataclass(frozen=True, slots=True)
class Stretch:
    """So many rows of a table behind the first ``offset``, in the order in which they are loaded."""

    offset: int
    rows: int


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """A line of the ledger that does not hold.  ``before`` and ``after`` are content: never to be logged."""

    table: str
    row_key: str
    column: str
    reason: str
    before: object
    after: object


@contextlib.contextmanager
def open_equation(source: Path, ledger: Path | None) -> Iterator[Equation]:
    """The source with its ledger beside it, both read-only.  Raises SourceError when they cannot be read together."""
    connection = open_readonly(source)
    try:
        register_shaping(connection)
        rewriting.register(connection)
        if ledger is not None:
            _refuse_other_encoding(connection, source, ledger)
            connection.execute("ATTACH ? AS ledger", (f"{ledger.absolute().as_uri()}?mode=ro",))
        connection.text_factory = bytes
        yield Equation(connection, has_ledger=ledger is not None)
    except sqlite3.DatabaseError as error:
        raise SourceError(
            f"source and ledger cannot be read together: {error}",
            next_step="check the run's folder; start a new run if its files are damaged",
        ) from None
    finally:
        connection.close()


def _refuse_other_encoding(connection: sqlite3.Connection, source: Path, ledger: Path) -> None:
    """A ledger has the encoding of the source that was cleaned, and SQLite reads no two encodings together."""
    with contextlib.closing(open_readonly(ledger)) as other:
        here, there = (c.execute("PRAGMA encoding").fetchone()[0] for c in (connection, other))
    if here != there:
        raise SourceError(
            f"{source} is written in {here}, and what the version was loaded from was in {there}: it is another file",
            next_step="name the file that the version was loaded from, or begin a run with this one",
            kind="source-changed",
        )


class Equation:
    """The tables of one source, as the ledger changes them.  ``connection`` delivers TEXT as UTF-8 bytes."""

    def __init__(self, connection: sqlite3.Connection, *, has_ledger: bool) -> None:
        self.connection = connection
        self._counted = self._count() if has_ledger else {}
        self._shown = 0

    def lines(self, table: str) -> Mapping[str, int]:
        """How many lines the ledger has for each column of a table."""
        return self._counted.get(table, {})

    def strangers(self, tables: Collection[str]) -> list[str]:
        """Tables that the ledger names and nobody knows."""
        return sorted(self._counted.keys() - set(tables))

    def _count(self) -> dict[str, dict[str, int]]:
        counted: dict[str, dict[str, int]] = {}
        query = 'SELECT "table", "column", count(*) FROM ledger.ledger GROUP BY 1, 2'
        for table, column, count in self.connection.execute(query):
            counted.setdefault(_text(table), {})[_text(column)] = count
        return counted

    def show(self, planned: TableRewriting, spans: Sequence[Span] = ()) -> list[Fault]:
        """Let the table be read as the ledger changes it; returns the lines that do not hold, at most a thousand.

        With ``spans`` only the lines of those rows are looked at.
        """
        table, key = planned.table, row_key(planned.table)
        self._unshow(table)
        lines = self.lines(table.name)
        if not lines:
            return []
        known = [c.name for c in table.columns if c.name in lines and c.generated is None]
        if key is None or not known:
            return self._unheld(table, spans, key)
        self._find_cells(table, key, known, spans)
        faults = self._unheld(table, spans, key)
        faults += self._unexplained(planned, known, spans, key)
        self._shadow(table, key, known)
        return faults[:1000]

    def span_of(self, table: Table, stretch: Stretch) -> Span | None:
        """The rowids between which a stretch lies; None where the ledger does not name the table's rows by them."""
        key = row_key(table)
        if key is None or not _by_rowid(table):
            return None
        (rowid,) = key.terms
        query = f"SELECT {rowid} FROM main.{quote(table.name)} NOT INDEXED ORDER BY {rowid} LIMIT 1 OFFSET ?"
        ends = [
            self.connection.execute(query, (place,)).fetchone()
            for place in (stretch.offset, stretch.offset + stretch.rows - 1)
        ]
        return Span(ends[0][0], ends[1][0]) if all(ends) else None

    def _unshow(self, table: Table) -> None:
        """The table as the source has it."""
        for (kind,) in self.connection.execute(
            "SELECT type FROM temp.sqlite_master WHERE name = ? AND type IN ('view', 'table')", (table.name,)
        ).fetchall():
            self.connection.execute(f"DROP {_text(kind)} temp.{quote(table.name)}")
        self.connection.execute("DROP TABLE IF EXISTS temp.sdetl_cells")

    def _find_cells(self, table: Table, key: RowKey, columns: Sequence[str], spans: Sequence[Span]) -> None:
        """The lines whose cell holds what the line says it held."""
        connection = self.connection
        connection.execute("CREATE TEMP TABLE sdetl_cells(row, place, after, line)")
        held = " ".join(f"WHEN {place} THEN s.{quote(name)}" for place, name in enumerate(columns))
        place = " ".join(f"WHEN {_literal(name)} THEN {place}" for place, name in enumerate(columns))
        name = quote(table.name)
        picked = (
            f'SELECT id, row_key, before, after, CASE "column" {place} END AS place, {_rowid_of(table)} AS r'
            f' FROM ledger.ledger WHERE "table" = ? AND {_within(table, spans)}'
        )
        if _by_rowid(table):
            row, joined = f"s.{key.terms[0]}", f"main.{name} AS s ON s.{key.terms[0]} = l.r"
            order = f"({picked}) AS l CROSS JOIN {joined}"
            exact = f"l.row_key = {key_text(table, key, 's')}"
        else:
            # Their names are texts: every row is named once and looked up among the lines.
            connection.execute("DROP TABLE IF EXISTS temp.sdetl_lines")
            connection.execute(f"CREATE TEMP TABLE sdetl_lines AS {picked}", (table.name,))
            connection.execute("CREATE INDEX temp.sdetl_lines_key ON sdetl_lines (row_key)")
            row = key_text(table, key, "s") if not table.has_rowid else f"s.{key.terms[0]}"
            order = f"main.{name} AS s CROSS JOIN temp.sdetl_lines AS l ON l.row_key = {key_text(table, key, 's')}"
            exact = "TRUE"
        same = f"l.before IS (CASE l.place {held} END) COLLATE BINARY AND typeof(l.before) = typeof(CASE l.place {held} END)"
        connection.execute(
            f"INSERT INTO temp.sdetl_cells SELECT {row}, l.place, l.after, l.id FROM {order}"
            f" WHERE l.place IS NOT NULL AND {exact} AND {same}",
            (table.name,) if _by_rowid(table) else (),
        )

    def _unheld(self, table: Table, spans: Sequence[Span], key: RowKey | None) -> list[Fault]:
        held = "id NOT IN (SELECT line FROM temp.sdetl_cells)" if key is not None and self._has_cells() else "TRUE"
        return self._faults(table, f"{held} AND {_within(table, spans)}", "the source holds no such cell")

    def _has_cells(self) -> bool:
        query = "SELECT 1 FROM temp.sqlite_master WHERE name = 'sdetl_cells'"
        return self.connection.execute(query).fetchone() is not None

    def _unexplained(
        self, planned: TableRewriting, columns: Sequence[str], spans: Sequence[Span], key: RowKey
    ) -> list[Fault]:
        """Lines whose new value is not what the column's rules make of the old one."""
        active = {column.column: column for column in planned.active}
        faults = []
        for name in columns:
            after = rewriting.cleaned(active[name].rules, "before") if name in active else "before"
            condition = f'"column" = {_literal(name)} AND after IS NOT ({after}) COLLATE BINARY'
            faults += self._faults(
                planned.table, f"{condition} AND {_within(planned.table, spans)}", "no rule makes that of the old value"
            )
        return faults

    def _faults(self, table: Table, condition: str, reason: str) -> list[Fault]:
        rows = self.connection.execute(
            f'SELECT row_key, "column", before, after FROM ledger.ledger WHERE "table" = ? AND {condition} LIMIT 1000',
            (table.name,),
        )
        return [Fault(table.name, _text(k), _text(c), reason, before, after) for k, c, before, after in rows]

    def _shadow(self, table: Table, key: RowKey, columns: Sequence[str]) -> None:
        self._shown += 1
        patch = f"temp.sdetl_patch_{self._shown}"
        fields = "".join(f", h{place}, v{place}" for place in range(len(columns)))
        kind = "INTEGER" if table.has_rowid else "TEXT"
        self.connection.execute(f"CREATE TEMP TABLE sdetl_patch_{self._shown}(row {kind} PRIMARY KEY{fields})")
        pivoted = "".join(
            f", max(place = {place}), max(CASE WHEN place = {place} THEN after END)" for place in range(len(columns))
        )
        self.connection.execute(f"INSERT INTO {patch} SELECT row{pivoted} FROM temp.sdetl_cells GROUP BY row")
        self.connection.execute("DROP TABLE temp.sdetl_cells")
        where = f"s.{key.terms[0]}" if table.has_rowid else key_text(table, key, "s")
        source = f"main.{quote(table.name)} AS s NOT INDEXED LEFT JOIN {patch} AS p ON p.row = {where}"
        terms = [
            f"CASE WHEN p.h{columns.index(c.name)} THEN p.v{columns.index(c.name)} ELSE s.{quote(c.name)} END"
            f" AS {quote(c.name)}"
            if c.name in columns
            else f"s.{quote(c.name)}"
            for c in table.columns
        ]
        rowid = [f"s.{key.terms[0]} AS {key.terms[0]}"] if table.has_rowid and table.rowid_alias is None else []
        if any(c.generated for c in table.columns):
            self._copy(table, source, terms, rowid)
            return
        self.connection.execute(
            f"CREATE TEMP VIEW {quote(table.name)} AS SELECT {', '.join([*rowid, *terms])} FROM {source}"
        )

    def _copy(self, table: Table, source: str, terms: Sequence[str], rowid: Sequence[str]) -> None:
        """Generated columns follow the cells they are computed from: SQLite computes them again in a real table."""
        self.connection.execute("PRAGMA ignore_check_constraints = ON")
        self.connection.execute(_CREATE.sub("CREATE TEMP TABLE", table.sql, count=1))
        stored = [(c, term) for c, term in zip(table.columns, terms, strict=True) if c.generated is None]
        names = [*(["rowid"] if rowid else []), *(quote(c.name) for c, _ in stored)]
        self.connection.execute(
            f"INSERT INTO temp.{quote(table.name)} ({', '.join(names)})"
            f" SELECT {', '.join([*rowid, *(term for _, term in stored)])} FROM {source}"
        )


def _by_rowid(table: Table) -> bool:
    """True when the ledger names the table's rows by their rowid."""
    return table.has_rowid and (table.rowid_alias is not None or not table.primary_key)


def _rowid_of(table: Table) -> str:
    if not _by_rowid(table):
        return "NULL"
    return "CAST(trim(row_key, '[]') AS INTEGER)"


def _within(table: Table, spans: Sequence[Span]) -> str:
    if not spans or not _by_rowid(table):
        return "TRUE"
    return "(" + " OR ".join(f"{_rowid_of(table)} BETWEEN {span.low} AND {span.high}" for span in spans) + ")"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _text(raw: object) -> str:
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else str(raw)
