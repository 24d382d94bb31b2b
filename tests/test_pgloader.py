"""pgloader's own expectations of its SQLite files, item by item: what it gives, what sdetl gives, and why they differ.

The files and the expectations stand beside the project; without them the tests are skipped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Server
from tests.migrating import Ended, migrate
from tests.test_shared_databases import DECIDED

Rows = list[tuple[str, ...]]

TABLES = (
    "SELECT relname::text FROM pg_class WHERE relnamespace = 'servicedesk'::regnamespace AND relkind = 'r' ORDER BY 1"
)
INDEXES = (
    "SELECT count(*)::text FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid"
    " WHERE t.relnamespace = 'servicedesk'::regnamespace"
)
CONSTRAINTS = (
    "SELECT count(*)::text FROM pg_constraint WHERE connamespace = 'servicedesk'::regnamespace AND contype = '{}'"
)
COLUMNS = "SELECT attname::text{} FROM pg_attribute WHERE attrelid = 'servicedesk.orders'::regclass AND attnum > 0 ORDER BY attnum"


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One expectation: the file, where pgloader's answer stands, how sdetl is asked, and what it answers.

    ``ours`` is None where the answers are the same; else it makes our answer of pgloader's, and ``why`` explains it.
    """

    source: str
    expected: str
    query: str
    ours: Callable[[Rows], Rows] | None = None
    why: str = ""


KEPT = "names are those of the source, exactly; pgloader folds them"
ITEMS = (
    Item("storage.sqlite", "base64/base64.out", TABLES),
    Item(
        "Chinook_Sqlite.sqlite",
        "chinook-noseq/chinook-noseq.out",
        "SELECT relname::text, 'BASE TABLE' FROM pg_class WHERE relnamespace = 'servicedesk'::regnamespace AND relkind = 'r'"
        " ORDER BY lower(relname)",
        lambda _: [
            (name, "BASE TABLE")
            for name in (
                *(
                    "Album",
                    "Artist",
                    "Customer",
                    "Employee",
                    "Genre",
                    "Invoice",
                    "InvoiceLine",
                    "MediaType",
                    "Playlist",
                ),
                *("PlaylistTrack", "Track"),
            )
        ],
        KEPT,
    ),
    Item(
        "Chinook_Sqlite_AutoIncrementPKs.sqlite",
        "chinook/01-counts.out#0",
        'SELECT count(*)::text FROM servicedesk."Track"',
    ),
    Item(
        "Chinook_Sqlite_AutoIncrementPKs.sqlite",
        "chinook/01-counts.out#1",
        'SELECT count(*)::text FROM servicedesk."Album"',
    ),
    Item(
        "Chinook_Sqlite_AutoIncrementPKs.sqlite",
        "chinook/01-counts.out#2",
        'SELECT count(*)::text FROM servicedesk."Customer"',
    ),
    Item("Chinook_Sqlite_AutoIncrementPKs.sqlite", "chinook/02-fkeys.out", CONSTRAINTS.format("f")),
    Item("Chinook_Sqlite_AutoIncrementPKs.sqlite", "chinook/03-pkeys.out#0", CONSTRAINTS.format("p")),
    Item(
        "Chinook_Sqlite_AutoIncrementPKs.sqlite",
        "chinook/03-pkeys.out#1",
        INDEXES,
        lambda _: [(str(11 + 21),)],
        "11 keys and the 21 indexes that the file declares; pgloader builds the key of PlaylistTrack twice, as an index, too",
    ),
    Item(
        "matviews.sqlite",
        "matviews/01-tables.out",
        TABLES,
        lambda _: [("products",)],
        "views stay views and follow their tables; pgloader makes tables of them, which stand still",
    ),
    Item(
        "matviews.sqlite",
        "matviews/02-views.out",
        "SELECT viewname::text FROM pg_views WHERE schemaname = 'servicedesk' ORDER BY 1",
    ),
    Item(
        "matviews.sqlite",
        "matviews/03-active-products.out",
        "SELECT id::text, name, price::text FROM servicedesk.active_products ORDER BY id",
    ),
    Item(
        "matviews.sqlite",
        "matviews/04-cheap-products.out",
        "SELECT id::text, name FROM servicedesk.cheap_products ORDER BY id",
    ),
    Item(
        "matviews-def.sqlite",
        "matviews-def/01-column-names.out",
        COLUMNS.format(""),
        lambda _: [("id",), ("tx",), ("amount",)],
        "the columns of the table itself: no view is in the file, pgloader's test defines one for the load",
    ),
    Item(
        "matviews-def.sqlite",
        "matviews-def/02-rows.out",
        "SELECT id::text, tx, amount::text FROM servicedesk.orders ORDER BY id",
    ),
    Item(
        "matviews-def.sqlite",
        "matviews-def/03-column-types.out",
        COLUMNS.format(", format_type(atttypid, atttypmod)"),
        lambda rows: [rows[0], ("tx", "text"), ("amount", "double precision")],
        "a REAL of SQLite has eight bytes; real, which pgloader chooses, has four and would round it",
    ),
    Item("my db.sqlite", "spaced-path/01-tables.out", TABLES),
    Item("my db.sqlite", "spaced-path/02-rows.out", "SELECT id::text, message FROM servicedesk.greetings ORDER BY id"),
    Item("cli_with.db", "sqlite-cli-with/01-quoted-table.out", TABLES),
    Item("cli_with.db", "sqlite-cli-with/02-row-count.out", 'SELECT count(*)::text FROM servicedesk."CamelTable"'),
    Item(
        "sqlite.db",
        "sqlite/sqlite.out",
        TABLES,
        lambda rows: sorted([("TableName",) if name == "table_name" else (name,) for (name,) in rows]),
        KEPT,
    ),
)
STOPPED = {
    "test-pk/01-schema.out": "two empty tables: a run that loads nothing stops with exit code 3, whoever wants them makes them",
    "test-pk/02-pkeys.out": "the same file",
}
"""Expectations of files that are not loaded, and why."""


@pytest.fixture(scope="module")
def loaded(
    server: Server, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], str]]:
    """The conninfo of a database into which the file went live; each file once."""
    known: dict[str, tuple[Ended, str]] = {}

    def load(name: str) -> str:
        if name not in known:
            conninfo, space = server.create_database(), tmp_path_factory.mktemp("pgloader") / "w"
            settings = DECIDED.get(f"pgloader/{name}", ())
            ended = migrate(shared_data / "pgloader" / name, conninfo, space, settings=settings, skip_canary=True)
            known[name] = (ended, conninfo)
        ended, conninfo = known[name]
        assert ended.document["outcome"] == "live", ended.document.get("error")
        return conninfo

    yield load
    for _, conninfo in known.values():
        server.drop_database(conninfo)


@pytest.mark.parametrize("item", ITEMS, ids=lambda i: i.expected)
def test_it_is_what_pgloader_gives_or_differs_for_a_reason(
    shared_data: Path, loaded: Callable[[str], str], item: Item
) -> None:
    theirs = _read(shared_data / "pgloader" / "expected", item.expected)
    with psycopg.connect(loaded(item.source)) as connection:
        ours: Rows = connection.execute(item.query).fetchall()
    assert ours == (theirs if item.ours is None else item.ours(theirs))
    assert (item.ours is not None) == bool(item.why)
    assert item.ours is None or ours != theirs


def test_every_expectation_is_in_the_table(shared_data: Path) -> None:
    folder = shared_data / "pgloader" / "expected"
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.out")}
    assert there == {*(item.expected.partition("#")[0] for item in ITEMS), *STOPPED}


def _read(folder: Path, name: str) -> Rows:
    """The rows of an answer as psql has written it; ``#n`` is the n-th answer of the file."""
    path, _, number = name.partition("#")
    answers: list[Rows] = []
    lines = (folder / path).read_text(encoding="utf-8").splitlines()
    for place, line in enumerate(lines):
        if set(line) <= {"-", "+"} and line:
            answers.append([])
        elif answers and line.strip() and not line.startswith("(") and not _is_head(lines, place):
            answers[-1].append(tuple(cell.strip() for cell in line.split("|")))
    return answers[int(number or 0)]


def _is_head(lines: list[str], place: int) -> bool:
    """True for the line of names over an answer."""
    return place + 1 < len(lines) and bool(lines[place + 1]) and set(lines[place + 1]) <= {"-", "+"}
