"""A sample of a database that is closed over its relations: a seeded share of the parents, with their children.

An independent sample of child rows would orphan nine in ten of them.  So tables without parents are drawn first; of
the others come the children of what was drawn, and a share of the rows that have no parent in the file at all.  Then
whatever parent a drawn row has comes along, until nothing is missing.  The rows at the edges (lowest and highest key,
longest text, most NULLs) are always in it.

Values are compared across storage classes: the text ``'123'`` and the real 123.0 point at the integer 123.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import math
import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sdetl_engine import processes
from sdetl_engine.events import Reporter
from sdetl_engine.processes import Processes
from sdetl_engine.sqlite.addressing import RowKey, row_key
from sdetl_engine.sqlite.guard import stoppable
from sdetl_engine.sqlite.open import open_readonly, open_writable, quote, trust_json_checks
from sdetl_engine.sqlite.partial import new_files, writing
from sdetl_engine.sqlite.shares import WORTH_CELLS
from sdetl_engine.values.declared import Affinity, affinity
from sdetl_engine.values.schema import Relation, Schema, Table

SMALL = 30
"""Tables of at most so many rows are taken whole."""
MOST_CHILDREN = 2
"""Children of drawn parents are thinned out when there are more than so many times their table's share."""

_NUMERIC = frozenset({Affinity.INTEGER, Affinity.REAL, Affinity.NUMERIC})
_TERMS_AT_ONCE = 50
_NUMBERS_AT_ONCE = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class SubsetResult:
    """Rows drawn and rows there were, by table."""

    path: Path
    rows: Mapping[str, int]
    of: Mapping[str, int]
    seed: int


def sample_subset(
    source: Path,
    output: Path,
    schema: Schema,
    relations: Sequence[Relation],
    fraction: float,
    seed: int,
    reporter: Reporter,
) -> SubsetResult:
    """Write the sample to the new file ``output``: the tables as declared, with indexes and views, without triggers.

    ``fraction`` (over 0, up to 1) is the share of each table that is aimed at; at least `SMALL` rows of a table are
    drawn, or all it has.  Rows keep their rowids.  The same source, fraction and seed draw the same rows.
    Raises UsageError when ``output`` exists, SourceError, ResourceError, Cancelled; then there is no file.
    """
    with (
        new_files(output) as (partial,),
        contextlib.closing(open_writable(partial)) as connection,
        writing(output.parent),
        stoppable(connection, reporter),
    ):
        trust_json_checks(connection)
        _attach(connection, source)
        connection.execute("BEGIN")
        drawing = _Drawing(connection, source, schema, relations, fraction, seed, reporter)
        drawing.draw()
        rows = _copy(connection, schema, drawing, reporter)
        connection.execute("COMMIT")
    return SubsetResult(output, rows, drawing.of, seed)


def _attach(connection: sqlite3.Connection, source: Path) -> None:
    """Make ``source`` known, read only, and the new file like it in encoding and size of pages."""
    with contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as reading:
        for pragma in ("encoding", "page_size", "user_version", "application_id"):
            (value,) = reading.execute(f"PRAGMA {pragma}").fetchone()
            connection.execute(f"PRAGMA {pragma} = {quote(str(value))}")
    # Nobody sees the file before it is whole, so that nothing is ever rolled back.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    # What the source holds against its own rules, the sample holds, too.
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute("ATTACH ? AS source", (f"{source.absolute().as_uri()}?mode=ro",))


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """A table that rows are drawn from: how they are named, and the temporary table of the keys drawn."""

    table: Table
    key: RowKey
    drawn: str

    @property
    def keys(self) -> str:
        """The columns of ``drawn`` that hold the key."""
        return ", ".join(f"k{number}" for number in range(len(self.key.terms)))

    def joined(self, alias: str, drawn_alias: str) -> str:
        """The condition that a row is the one whose key was drawn."""
        return " AND ".join(f"{alias}.{term} = {drawn_alias}.k{n}" for n, term in enumerate(self.key.terms))

    @property
    def source(self) -> str:
        """The table in the source."""
        return f"source.{quote(self.table.name)}"


class _Drawing:
    """Decides which rows are in the sample."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        source: Path,
        schema: Schema,
        relations: Sequence[Relation],
        fraction: float,
        seed: int,
        reporter: Reporter,
    ) -> None:
        self._connection = connection
        self._source = source
        self._fraction = fraction
        self._seed = seed
        self._reporter = reporter
        self._step = 0
        self.of = {table.name: self._count(f"source.{quote(table.name)}") for table in schema.tables}
        keys = [(table, row_key(table)) for table in schema.tables]
        # A table whose rows cannot be named has no place here: it is copied whole.
        self.places = {
            table.name: _Place(table, key, f"temp.drawn_{number}") for number, (table, key) in enumerate(keys) if key
        }
        self._relations = [
            _Link(self.places[r.child], self.places[r.parent], r) for r in relations if self._is_known(r)
        ]

    def draw(self) -> None:
        """Fill the tables of drawn keys."""
        for number, place in enumerate(self._parents_first()):
            self._reporter.check()
            self._reporter.progress("drawing the sample", number, len(self.places), "tables")
            self._create(place)
            with self._edges(place) as draw_edges:
                driving = self._driving(place)
                if driving is None:
                    self._insert_from(place, self._random_keys(place, self._share(place)))
                else:
                    self._draw_children(driving)
                draw_edges()
        self._add_parents()

    def _is_known(self, relation: Relation) -> bool:
        if relation.child not in self.places or relation.parent not in self.places or not relation.parent_columns:
            return False
        ends = ((relation.child, relation.child_columns), (relation.parent, relation.parent_columns))
        return all({*columns} <= {c.name for c in self.places[name].table.columns} for name, columns in ends)

    def _parents_first(self) -> list[_Place]:
        """The tables so that parents come before children; a circle is entered at its first table."""
        waiting = dict(self.places)
        order = []
        while waiting:
            held_back = {r.child.table.name for r in self._relations if r.parent.table.name in waiting and r.is_plain}
            name = next((name for name in waiting if name not in held_back), next(iter(waiting)))
            order.append(waiting.pop(name))
        self._drawn_before = {place.table.name: number for number, place in enumerate(order)}
        return order

    def _driving(self, place: _Place) -> _Link | None:
        """The relation whose parents decide about the table: the one to the largest table drawn before it."""
        before = self._drawn_before
        name = place.table.name
        possible = [
            r for r in self._relations if r.child is place and r.is_plain and before[r.parent.table.name] < before[name]
        ]
        return max(possible, key=lambda r: self.of[r.parent.table.name], default=None)

    def _share(self, place: _Place) -> int:
        rows = self.of[place.table.name]
        return max(math.ceil(self._fraction * rows), min(rows, SMALL))

    def _create(self, place: _Place) -> None:
        kind = (
            "k0 INTEGER PRIMARY KEY, step" if place.key.is_rowid else f"{place.keys}, step, PRIMARY KEY({place.keys})"
        )
        options = "" if place.key.is_rowid else " WITHOUT ROWID"
        self._connection.execute(f"CREATE TABLE {place.drawn}({kind}){options}")

    def _draw_children(self, link: _Link) -> None:
        """The children of drawn parents, some of the rows that have none in the source, and enough rows in all."""
        place, share = link.child, self._share(link.child)
        with self._scratch("family", place.keys) as family:
            self._connection.execute(f"INSERT INTO {family} {self._children(link)}")
            drawn = self._count(family)
            order = f"SELECT {place.keys} FROM {family} ORDER BY {place.keys}"
            self._insert_from(place, self._spread(order, drawn, MOST_CHILDREN * share, place))
        with self._scratch("picked", place.keys) as picked:
            self._connection.execute(f"INSERT INTO {picked} {self._random_keys(place, share)}")
            self._insert_from(place, self._parentless(link, picked))
            if self._count(place.drawn) < min(self.of[place.table.name], SMALL):
                self._insert_from(place, f"SELECT {place.keys} FROM {picked}")

    def _children(self, link: _Link) -> str:
        """SELECT of the keys of rows whose parent was drawn."""
        parents = f"SELECT {link.parent_values} FROM {link.parent.drawn} d CROSS JOIN {link.parent.source} p"
        self._want(link, f"{parents} ON {link.parent.joined('p', 'd')}")
        return f"SELECT {link.child.key.of('c')} FROM {link.child.source} c WHERE {link.child_row} IN {link.wanted}"

    def _parentless(self, link: _Link, picked: str) -> str:
        """SELECT of the keys of picked rows that have no parent in the source."""
        from_child = f"FROM {picked} d CROSS JOIN {link.child.source} c ON {link.child.joined('c', 'd')}"
        self._want(link, f"SELECT {link.child_values} {from_child}")
        existing = (
            f"SELECT {', '.join(_canonical(term) for term in link.parent_terms)} FROM {link.parent.source} p"
            f" WHERE {link.parent_row} IN {link.wanted}"
        )
        canonical = ", ".join(_canonical(term) for term in link.child_terms)
        return f"SELECT {link.child.key.of('c')} {from_child} WHERE (({canonical}) IN ({existing})) IS NOT TRUE"

    def _want(self, link: _Link, values: str) -> None:
        """Fill the list of values to look for, in every way in which the other side may have stored them."""
        arity = len(link.relation.child_columns)
        names = [f"v{number}" for number in range(arity)]
        listed = ", ".join(names)
        self._connection.execute(f"DROP TABLE IF EXISTS {link.wanted}")
        self._connection.execute(f"CREATE TABLE {link.wanted}({listed}, PRIMARY KEY({listed})) WITHOUT ROWID")
        forms = [listed]
        if not link.is_of_one_class:
            canonical = [_canonical(name) for name in names]
            as_text = (f"CASE typeof({c}) WHEN 'blob' THEN {c} ELSE CAST({c} AS TEXT) END" for c in canonical)
            forms += [", ".join(canonical), ", ".join(as_text)]
        complete = " AND ".join(f"{name} IS NOT NULL" for name in names)
        for form in forms:
            self._connection.execute(
                f"WITH raw({listed}) AS ({values})"
                f" INSERT OR IGNORE INTO {link.wanted} SELECT {form} FROM raw WHERE {complete}"
            )

    @contextlib.contextmanager
    def _edges(self, place: _Place) -> Iterator[Callable[[], object]]:
        """Adds the rows at both ends; gives a function that adds the longest and the emptiest one.

        In a large table those are looked for while the block runs.
        """
        orders = _extreme_orders(place)
        for end in (place.key.of("t"), ", ".join(f"t.{term} DESC" for term in place.key.terms)):
            self._insert_from(place, _first_key(place, "source", end))
        is_large = self.of[place.table.name] * len(place.table.columns) >= WORTH_CELLS
        if not (is_large and place.key.is_rowid and processes.useful() > 1):
            yield lambda: [self._insert_from(place, _first_key(place, "source", order)) for order in orders]
            return
        jobs = [functools.partial(_found, self._source, _first_key(place, "main", order)) for order in orders]
        with Processes(jobs, self._reporter) as running:
            yield lambda: self._insert_from(place, self._listed(running.results()))

    def _add_parents(self) -> None:
        """Add the parents of everything drawn, and theirs, until nothing is added: circles included."""
        seen = dict.fromkeys(range(len(self._relations)), 0)
        added = True
        while added:
            added = False
            for number, link in enumerate(self._relations):
                self._reporter.check()
                since, seen[number] = seen[number], self._step
                added |= self._add_parents_of(link, since)

    def _add_parents_of(self, link: _Link, since: int) -> bool:
        """Add the parents of the rows drawn after step ``since``; True when there were any new ones."""
        values = (
            f"SELECT {link.child_values} FROM {link.child.drawn} d CROSS JOIN {link.child.source} c"
            f" ON {link.child.joined('c', 'd')} WHERE d.step > {since}"
        )
        self._want(link, values)
        found = f"SELECT {link.parent.key.of('p')} FROM {link.parent.source} p WHERE {link.parent_row} IN {link.wanted}"
        return self._insert_from(link.parent, found) > 0

    def _insert_from(self, place: _Place, query: str) -> int:
        self._step += 1
        return self._connection.execute(
            f"INSERT OR IGNORE INTO {place.drawn} SELECT *, {self._step} FROM ({query}) WHERE TRUE"
        ).rowcount

    def _random_keys(self, place: _Place, count: int) -> str:
        """SELECT of ``count`` keys, one from a random place in each of as many equal stretches of the table."""
        rows = self.of[place.table.name]
        if place.key.is_rowid and rows:
            term = place.key.terms[0]
            (low,) = self._connection.execute(f"SELECT min({term}) FROM {place.source}").fetchone()
            (high,) = self._connection.execute(f"SELECT max({term}) FROM {place.source}").fetchone()
            if high - low + 1 == rows:
                # Numbers without gaps need not be walked over.
                return self._listed(low + position for position in self._positions(place, rows, count))
        order = place.key.of("t")
        return self._spread(f"SELECT {order} FROM {place.source} t NOT INDEXED ORDER BY {order}", rows, count, place)

    def _spread(self, query: str, rows: int, count: int, place: _Place) -> str:
        """SELECT of ``count`` of the ``rows`` keys that the query gives, a random one from each of equal stretches.

        The keys stay in SQLite: one of them may be a text that Python cannot decode.
        """
        if rows <= count:
            return query
        positions = self._listed(self._positions(place, rows, count))
        numbered = f"SELECT *, row_number() OVER () - 1 AS position FROM ({query})"
        return (
            f"WITH numbered({place.keys}, position) AS ({numbered})"
            f" SELECT {place.keys} FROM numbered WHERE position IN ({positions})"
        )

    def _listed(self, numbers: Iterable[int]) -> str:
        """SELECT of those numbers, good until the next are listed; millions of them never stand in memory."""
        self._connection.execute("DROP TABLE IF EXISTS temp.listed")
        self._connection.execute("CREATE TABLE temp.listed(number INTEGER PRIMARY KEY)")
        left = iter(numbers)
        while some := list(itertools.islice(left, _NUMBERS_AT_ONCE)):
            query = "INSERT OR IGNORE INTO temp.listed SELECT value FROM json_each(?)"
            self._connection.execute(query, [json.dumps(some)])
        return "SELECT number FROM temp.listed"

    def _positions(self, place: _Place, rows: int, count: int) -> Iterator[int]:
        chance = random.Random(f"{self._seed}:{place.table.name}")  # noqa: S311 - a sample, not a secret
        wanted = min(count, rows)
        starts = ((n * rows // wanted, (n + 1) * rows // wanted) for n in range(wanted))
        return (start + int(chance.random() * (end - start)) for start, end in starts)

    @contextlib.contextmanager
    def _scratch(self, name: str, columns: str) -> Iterator[str]:
        self._connection.execute(f"CREATE TABLE temp.{name}({columns})")
        yield f"temp.{name}"
        self._connection.execute(f"DROP TABLE temp.{name}")

    def _count(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _extreme_orders(place: _Place) -> list[str]:
    """Orders that begin with the rows that are most likely to break a load: the longest, the emptiest."""
    keys = place.key.of("t")
    columns = [column for column in place.table.columns if column.generated is None]
    texts = [quote(c.name) for c in columns if affinity(c.declared) not in (Affinity.INTEGER, Affinity.REAL)]
    longest = [f"max(0, {terms})" for terms in _in_groups([f"coalesce(length({t}), 0)" for t in texts], ", ")]
    nulls = _in_groups([f"({quote(c.name)} IS NULL)" for c in columns if not c.not_null], " + ")
    emptiest = [f"({terms})" for terms in nulls]
    orders = [f"max({', '.join(longest)}, 0) DESC, {keys}"] if texts else []
    return [*orders, *([f"{' + '.join(emptiest)} DESC, {keys}"] if emptiest else [])]


def _first_key(place: _Place, schema: str, order: str) -> str:
    """SELECT of the key of the first row in that order."""
    return f"SELECT {place.key.of('t')} FROM {schema}.{quote(place.table.name)} t ORDER BY {order} LIMIT 1"


def _found(source: Path, query: str, *, reporter: Reporter) -> int:
    """The rowid that a query over a table with rows finds."""
    with contextlib.closing(open_readonly(source)) as connection, stoppable(connection, reporter):
        return int(connection.execute(query).fetchone()[0])


@dataclasses.dataclass(frozen=True, slots=True)
class _Link:
    """A relation between two tables that rows are drawn from; in SQL the child is ``c`` and the parent ``p``."""

    child: _Place
    parent: _Place
    relation: Relation

    wanted = "temp.wanted"

    @property
    def is_plain(self) -> bool:
        """True unless it points from a table to itself."""
        return self.child is not self.parent

    @property
    def child_terms(self) -> list[str]:
        return [f"c.{quote(name)}" for name in self.relation.child_columns]

    @property
    def parent_terms(self) -> list[str]:
        return [f"p.{quote(name)}" for name in self.relation.parent_columns]

    @property
    def child_values(self) -> str:
        return ", ".join(self.child_terms)

    @property
    def parent_values(self) -> str:
        return ", ".join(self.parent_terms)

    @property
    def child_row(self) -> str:
        return f"({self.child_values})"

    @property
    def parent_row(self) -> str:
        return f"({self.parent_values})"

    @property
    def is_of_one_class(self) -> bool:
        """True when SQLite stores equal values alike on both sides, because the columns' affinities say so."""
        pairs = zip(self.relation.child_columns, self.relation.parent_columns, strict=True)
        return all(_alike(self.child.table, child, self.parent.table, parent) for child, parent in pairs)


def _alike(child: Table, child_column: str, parent: Table, parent_column: str) -> bool:
    both = {affinity(child.column(child_column).declared), affinity(parent.column(parent_column).declared)}
    return both <= _NUMERIC or both == {Affinity.TEXT}


def _canonical(term: str) -> str:
    """The value as it equals its like in another storage class: whole numbers, however stored, as integers."""
    return (
        f"CASE typeof({term})"
        f" WHEN 'real' THEN CASE WHEN {term} = CAST({term} AS INTEGER) THEN CAST({term} AS INTEGER) ELSE {term} END"
        f" WHEN 'text' THEN CASE WHEN CAST(CAST({term} AS INTEGER) AS TEXT) = {term} COLLATE BINARY"
        f" THEN CAST({term} AS INTEGER) ELSE {term} END"
        f" ELSE {term} END"
    )


def _in_groups(terms: Sequence[str], separator: str) -> list[str]:
    """The terms joined in groups, because arguments and depth of an expression are limited."""
    return [separator.join(terms[start : start + _TERMS_AT_ONCE]) for start in range(0, len(terms), _TERMS_AT_ONCE)]


def _copy(connection: sqlite3.Connection, schema: Schema, drawing: _Drawing, reporter: Reporter) -> Mapping[str, int]:
    """The tables with the drawn rows, then what is built on them.  Returns the rows by table."""
    rows: dict[str, int] = {}
    for number, table in enumerate(schema.tables):
        reporter.check()
        reporter.progress("writing the sample", number, len(schema.tables), "tables")
        connection.execute(table.sql)
        rows[table.name] = _copy_rows(connection, table, drawing.places.get(table.name))
        if table.sequence is not None:
            connection.execute("DELETE FROM main.sqlite_sequence WHERE name = ?", (table.name,))
            connection.execute("INSERT INTO main.sqlite_sequence VALUES (?, ?)", (table.name, table.sequence))
    indexes = connection.execute(
        "SELECT tbl_name, sql FROM source.sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    views = [other.sql for other in schema.others if other.kind == "view"]
    for sql in [*(sql for name, sql in indexes if name in rows), *views]:
        connection.execute(sql)
    return rows


def _copy_rows(connection: sqlite3.Connection, table: Table, place: _Place | None) -> int:
    names = [quote(column.name) for column in table.columns if column.generated is None]
    if place is None:
        listed = ", ".join(names)
        return connection.execute(
            f"INSERT INTO main.{quote(table.name)}({listed})"
            f" SELECT {listed} FROM source.{quote(table.name)} NOT INDEXED"
        ).rowcount
    if place.key.is_rowid and table.rowid_alias is None:
        names = [*place.key.terms, *names]
    chosen = ", ".join(f"s.{name}" for name in names)
    return connection.execute(
        f"INSERT INTO main.{quote(table.name)}({', '.join(names)})"
        f" SELECT {chosen} FROM {place.drawn} d CROSS JOIN {place.source} s ON {place.joined('s', 'd')}"
        f" ORDER BY {', '.join(f'd.k{n}' for n in range(len(place.key.terms)))}"
    ).rowcount
