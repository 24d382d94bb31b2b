"""Relations that nobody declared, and those that a plan declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdetl_engine.demo.source import build_source
from sdetl_engine.errors import UsageError
from sdetl_engine.profiling.relations import infer, parse
from sdetl_engine.sqlite.keys import relation_overlap
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.values.schema import Column, Schema, Table
from tests.profiling import measured


def inferred(path: Path, *, with_facts: bool = False) -> set[str]:
    with open_readonly(path) as connection:
        schema = read_schema(connection)
        found = infer(
            schema,
            lambda child, column, parent, key: relation_overlap(connection, child, column, parent, key),
            measured.profile(path).tables if with_facts else (),
        )
    assert {r.origin for r in found} <= {"inferred"}
    return {str(r) for r in found}


@pytest.mark.parametrize("with_facts", [True, False])
def test_the_relations_of_the_servicedesk_are_found_and_no_others(tmp_path: Path, with_facts: bool) -> None:
    build_source(tmp_path / "demo.db", rows=3000)
    assert inferred(tmp_path / "demo.db", with_facts=with_facts) == {
        "comments.ticket_id -> tickets.TKT-Ticket ID",
        "timesheets.TS-Ticket Project Master Code -> tickets.TKT-Ticket ID",
        "comment_quality.comment_id -> comments.comment_id",
        "comment_quality.ticket_id -> tickets.TKT-Ticket ID",
        "comment_sentiment.comment_id -> comments.comment_id",
        "comment_sentiment.ticket_id -> tickets.TKT-Ticket ID",
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pgloader/Chinook_Sqlite.sqlite", set()),
        ("sqlite/django_helpdesk_demo.sqlite3", set()),
        ("sqlite/helpdesk_lab.db", set()),
        ("sqlite/trac_issue_tracker.db", {"ticket_change.ticket -> ticket.id"}),
        (
            "sqlite/northwind_small.sqlite",
            {
                "Product.CategoryId -> Category.Id",
                "Product.SupplierId -> Supplier.Id",
                "Order.CustomerId -> Customer.Id",
                "Order.EmployeeId -> Employee.Id",
                "OrderDetail.OrderId -> Order.Id",
                "OrderDetail.ProductId -> Product.Id",
                "EmployeeTerritory.EmployeeId -> Employee.Id",
                "EmployeeTerritory.TerritoryId -> Territory.Id",
                "Territory.RegionId -> Region.Id",
            },
        ),
    ],
)
def test_nothing_silly_is_found_in_real_databases(tmp_path: Path, name: str, expected: set[str]) -> None:
    assert inferred(measured.real(name, tmp_path), with_facts=True) == expected


def test_a_column_whose_values_are_not_there_points_nowhere(tmp_path: Path) -> None:
    script = "CREATE TABLE tickets (id INTEGER PRIMARY KEY); CREATE TABLE notes (ticket_id INTEGER)"
    rows: dict[str, measured.Rows] = {
        "tickets": [(n,) for n in range(1, 50)],
        "notes": [(n,) for n in range(1000, 1050)],
    }
    assert inferred(measured.table(tmp_path, script, rows).path) == set()


def test_a_handful_of_codes_is_no_relation_to_thousands_of_ids(tmp_path: Path) -> None:
    script = "CREATE TABLE tickets (id INTEGER PRIMARY KEY); CREATE TABLE notes (ticket_status_code INTEGER)"
    rows: dict[str, measured.Rows] = {
        "tickets": [(n,) for n in range(1, 300)],
        "notes": [(n % 5 + 1,) for n in range(300)],
    }
    assert inferred(measured.table(tmp_path, script, rows).path, with_facts=True) == set()


def test_a_key_that_repeats_is_no_key(tmp_path: Path) -> None:
    script = "CREATE TABLE tickets (ticket_id INTEGER, v TEXT); CREATE TABLE notes (ticket_id INTEGER)"
    rows: dict[str, measured.Rows] = {
        "tickets": [(n % 10, "x") for n in range(100)],
        "notes": [(n,) for n in range(10)],
    }
    assert inferred(measured.table(tmp_path, script, rows).path, with_facts=True) == set()


def test_texts_in_a_first_column_named_id_are_no_key(tmp_path: Path) -> None:
    script = "CREATE TABLE tickets (ticket_id TEXT, v TEXT); CREATE TABLE notes (ticket_id TEXT)"
    names = [f"T-{n}" for n in range(50)]
    rows: dict[str, measured.Rows] = {"tickets": [(n, "x") for n in names], "notes": [(n,) for n in names]}
    assert inferred(measured.table(tmp_path, script, rows).path, with_facts=True) == set()


def test_one_column_of_a_longer_key_identifies_nothing(tmp_path: Path) -> None:
    script = (
        "CREATE TABLE stays (stay_id INTEGER, night INTEGER, PRIMARY KEY (stay_id, night));"
        "CREATE TABLE bills (n INTEGER PRIMARY KEY, stay_id INTEGER)"
    )
    pairs = [(n, n) for n in range(1, 50)]
    assert inferred(measured.table(tmp_path, script, {"stays": pairs, "bills": pairs}).path) == set()


def test_a_few_rows_may_point_at_many(tmp_path: Path) -> None:
    script = "CREATE TABLE tickets (id INTEGER PRIMARY KEY); CREATE TABLE notes (ticket_id INTEGER)"
    rows: dict[str, measured.Rows] = {"tickets": [(n,) for n in range(1, 300)], "notes": [(n,) for n in range(1, 9)]}
    path = measured.table(tmp_path, script, rows).path
    assert inferred(path, with_facts=True) == {"notes.ticket_id -> tickets.id"}


@pytest.mark.parametrize(
    ("parent", "column"),
    [("tickets", "ticket_id"), ("policies", "policy_id"), ("address", "address_id"), ("team", "team_id")],
)
def test_tables_are_named_in_the_plural_or_not(tmp_path: Path, parent: str, column: str) -> None:
    script = f"CREATE TABLE {parent} (id INTEGER PRIMARY KEY); CREATE TABLE notes (n INTEGER, {column} INTEGER)"
    rows: dict[str, measured.Rows] = {parent: [(n,) for n in range(30)], "notes": [(n, n) for n in range(30)]}
    assert inferred(measured.table(tmp_path, script, rows).path) == {f"notes.{column} -> {parent}.id"}


@pytest.mark.parametrize("first", ['"order"', "order_lines"])
def test_the_longer_name_wins_where_two_parents_fit(tmp_path: Path, first: str) -> None:
    second = "order_lines" if first == '"order"' else '"order"'
    script = (
        f"CREATE TABLE {first} (id INTEGER PRIMARY KEY);"
        f"CREATE TABLE {second} (id INTEGER PRIMARY KEY);"
        "CREATE TABLE parcels (n INTEGER PRIMARY KEY, order_line_id INTEGER)"
    )
    ids = [(n,) for n in range(30)]
    rows: dict[str, measured.Rows] = {"order": ids, "order_lines": ids, "parcels": [(n, n) for n in range(30)]}
    assert inferred(measured.table(tmp_path, script, rows).path) == {"parcels.order_line_id -> order_lines.id"}


SCHEMA = Schema(
    (
        Table("comments", (Column("ticket_id", "INTEGER"),)),
        Table("tickets", (Column("TKT-Ticket ID", "INTEGER"),)),
        Table("a", (Column("b.c", ""),)),
        Table("a.b", (Column("c", ""), Column("x->y", ""))),
    )
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("comments.ticket_id -> tickets.TKT-Ticket ID", "comments.ticket_id -> tickets.TKT-Ticket ID"),
        ("comments.ticket_id->tickets.TKT-Ticket ID", "comments.ticket_id -> tickets.TKT-Ticket ID"),
        ('comments.ticket_id -> tickets."TKT-Ticket ID"', "comments.ticket_id -> tickets.TKT-Ticket ID"),
        ("a.b.x->y -> comments.ticket_id", "a.b.x->y -> comments.ticket_id"),
    ],
)
def test_a_relation_in_a_plan_is_read_with_all_its_blanks_and_dots(text: str, expected: str) -> None:
    found = parse(text, SCHEMA)
    assert (str(found), found.origin) == (expected, "plan")


def test_of_two_columns_that_read_alike_the_longer_table_is_meant() -> None:
    assert parse("a.b.c -> comments.ticket_id", SCHEMA).child == "a.b"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("comments.ticket_id", "child.column -> parent.column"),
        ("comments.ticketid -> tickets.TKT-Ticket ID", "did you mean comments.ticket_id?"),
        ("comments.ticket_id -> tickets.TKT Ticket ID", "did you mean tickets.TKT-Ticket ID?"),
    ],
)
def test_a_relation_to_nowhere_is_refused_and_the_nearest_named(text: str, named: str) -> None:
    with pytest.raises(UsageError, match=named.replace("?", r"\?")):
        parse(text, SCHEMA)
