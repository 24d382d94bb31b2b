"""Reading the ledger, page by page."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from sdetl_engine.events import SilentReporter
from sdetl_engine.sqlite.cleaned import ColumnRules, clean
from sdetl_engine.sqlite.ledger import Count, LedgerLine, read_counts, read_page
from sdetl_engine.sqlite.open import open_readonly
from sdetl_engine.sqlite.rewriting import Rule
from sdetl_engine.sqlite.schema import read_schema


@pytest.fixture
def path(sqlite_file: Callable[[str], Path]) -> Path:
    source = sqlite_file(
        """CREATE TABLE a(d TEXT, e TEXT); CREATE TABLE b(d TEXT);
        INSERT INTO a VALUES ('1/2/2024', ''), ('2/2/2024', '?'), ('2024-02-03', 'x'), ('', '');
        INSERT INTO b VALUES ('5/2/2024')"""
    )
    with contextlib.closing(open_readonly(source)) as connection:
        schema = read_schema(connection)
    rule = ColumnRules(to_iso=True, day_first=True, marks=("?",), empty_to_null=True)
    rules = {("a", "d"): rule, ("a", "e"): rule, ("b", "d"): rule}
    ledger = source.with_name("ledger.db")
    clean(source, source.with_name("clean.db"), ledger, schema, rules, reporter=SilentReporter(), health=lambda: None)
    return ledger


def test_counts_by_table_column_and_rule(path: Path) -> None:
    assert read_counts(path) == (
        Count("a", "d", Rule.DATE_TO_ISO, 2),
        Count("a", "d", Rule.EMPTY_TO_NULL, 1),
        Count("a", "e", Rule.EMPTY_TO_NULL, 2),
        Count("a", "e", Rule.MARK_TO_NULL, 1),
        Count("b", "d", Rule.DATE_TO_ISO, 1),
    )


def test_pages_together_hold_every_line_once(path: Path) -> None:
    assert read_page(path).total == 7
    by_offset = [line for offset in range(0, 8, 3) for line in read_page(path, offset=offset, limit=3).lines]
    assert [line.id for line in by_offset] == [1, 2, 3, 4, 5, 6, 7]
    after = 0
    by_id: list[LedgerLine] = []
    while lines := read_page(path, after_id=after, limit=2).lines:
        by_id += lines
        after = lines[-1].id
    assert by_id == by_offset


def test_lines_by_table_column_and_rule(path: Path) -> None:
    page = read_page(path, table="a", rule=Rule.EMPTY_TO_NULL)
    assert page.total == 3
    assert {(line.column, line.row_key) for line in page.lines} == {("d", "4"), ("e", "1"), ("e", "4")}
    second = read_page(path, table="a", column="d", rule=Rule.DATE_TO_ISO, offset=1, limit=1)
    assert [(line.before, line.after) for line in second.lines] == [("2/2/2024", "2024-02-02")]
    assert second.total == 2


def test_nothing_under_conditions_that_nothing_meets(path: Path) -> None:
    page = read_page(path, table="b", rule=Rule.MARK_TO_NULL)
    assert (page.lines, page.total) == ((), 0)
