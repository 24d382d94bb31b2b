"""Two answers to one query beside each other, and what a query's text says about their order."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sdetl_engine.grafana.answers import Answer, ColumnKind, kept
from sdetl_engine.grafana.shape import QueryShape, shape_of
from sdetl_engine.grafana.twins import TwinVerdict, contrast

N, T, M = ColumnKind.NUMBER, ColumnKind.TEXT, ColumnKind.TIME
ANY_ORDER = QueryShape(frozenset(), ())


def answer(
    *rows: tuple[Any, ...], kinds: tuple[ColumnKind, ...] = (T, N), names: tuple[str, ...] = ("team", "n")
) -> Answer:
    values = tuple(tuple(map(kept, row)) for row in rows)
    return Answer(True, len(rows), names if rows else (), kinds if rows else (), values)


def verdict(before: Answer, after: Answer, shape: QueryShape = ANY_ORDER, **more: float) -> str:
    return str(contrast(before, after, shape, **more).verdict)


def test_rows_are_compared_in_any_order_unless_the_query_orders_them() -> None:
    before, after = answer(("a", 1), ("b", 2)), answer(("b", 2), ("a", 1))
    assert verdict(before, after) == "equal"
    ordered = contrast(before, after, QueryShape(frozenset(), ("team",)))
    assert (str(ordered.verdict), ordered.only_order) == ("changed", True)


def test_rows_of_equal_keys_may_change_places() -> None:
    before, after = answer(("a", 1), ("b", 1), ("c", 2)), answer(("b", 1), ("a", 1), ("c", 2))
    assert verdict(before, after, QueryShape(frozenset(), ("n",))) == "equal"
    assert verdict(before, after, QueryShape(frozenset(), (1,))) == "equal"
    assert verdict(before, after, QueryShape(frozenset(), (0,))) == "changed"
    assert verdict(before, after, QueryShape(frozenset(), None)) == "changed"


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (0.1 + 0.2, 0.3, True),
        (1e15, 1e15 + 0.25, True),
        (100.0, 100.001, False),
        (1, 1.0, True),
        (0.0, 1e-13, True),
        ("NaN", "NaN", True),
        ("NaN", 1, False),
        (None, 0, False),
    ],
)
def test_numbers_are_equal_up_to_noise(old: object, new: object, same: bool) -> None:
    assert verdict(answer(("a", old), ("b", 1)), answer(("a", new), ("b", 1))) == ("equal" if same else "changed")


def test_noise_does_not_pair_rows_wrongly() -> None:
    before = answer(("a", 0.30000000000000004), ("b", 0.3))
    assert verdict(before, answer(("b", 0.30000000000000004), ("a", 0.3))) == "equal"
    assert verdict(before, answer(("b", 0.4), ("a", 0.3))) == "changed"


def test_texts_are_never_equal_by_noise() -> None:
    assert verdict(answer(("1.0", 1)), answer(("1", 1))) == "changed"


def test_times_may_differ_by_the_seconds_between_the_questions() -> None:
    before, after = (answer((ms, 1), kinds=(M, N)) for ms in (1_000_000, 1_002_500))
    assert verdict(before, after) == "changed"
    assert verdict(before, after, seconds_apart=3) == "equal"
    assert verdict(before, after, seconds_apart=2) == "changed"


def test_how_much_is_the_largest_of_rows_missing_values_and_totals() -> None:
    four = answer(("a", 1), ("b", 2), ("c", 3), ("d", 4))
    assert contrast(four, answer(("a", 1), ("b", 2)), ANY_ORDER).size == pytest.approx(0.7)
    assert contrast(four, answer(("a", 1), ("b", 2), ("c", 3), ("d", 5)), ANY_ORDER).size == pytest.approx(0.1)
    assert contrast(four, answer((None, 1), (None, 2), (None, 3), ("d", 4)), ANY_ORDER).size == pytest.approx(0.75)
    assert contrast(answer(("a", 0)), answer(("a", 3)), ANY_ORDER).size == 0
    assert contrast(answer(("a", 3)), answer(("a", 0)), ANY_ORDER).size == 1


def test_what_differs_is_said_by_columns_and_counts_never_by_values() -> None:
    found = contrast(answer(("secret", 1), ("b", 2)), answer(("private", 1), ("b", 2), ("c", 3)), ANY_ORDER)
    assert found.how == ("3 rows instead of 2", "2 rows differ in team, n")


@pytest.mark.parametrize(
    ("names", "kinds", "how"),
    [
        (("team", "m"), (T, N), ("column n is gone", "column m is new")),
        (("n", "team"), (T, N), ("its columns stand in another order",)),
        (("team", "n"), (T, T), ("column n is text instead of number",)),
    ],
)
def test_other_columns_are_no_matter_of_data(
    names: tuple[str, ...], kinds: tuple[ColumnKind, ...], how: tuple[str, ...]
) -> None:
    found = contrast(answer(("a", 1)), answer(("a", 1), names=names, kinds=kinds), ANY_ORDER)
    assert (found.how, found.size) == (how, math.inf)


def test_nothing_but_missing_values_is_nothing_to_show() -> None:
    assert verdict(answer(("a", 1)), answer((None, None))) == "empty"
    assert verdict(answer(("a", 1)), answer()) == "empty"
    assert verdict(answer(), answer()) == "equal"
    assert verdict(answer(), answer(("a", 1))) == "changed"
    assert verdict(answer(("a", 0)), answer(("a", None))) == "changed"


def test_broken_fixed_and_what_failed_before() -> None:
    good, bad = answer(("a", 1)), Answer(False, error="42703")
    assert [verdict(good, bad), verdict(bad, good), verdict(bad, bad)] == ["broken", "fixed", "broken"]
    assert contrast(good, bad, ANY_ORDER).how == ()
    assert contrast(bad, bad, ANY_ORDER).how == ("it failed before, too",)


def test_what_was_not_kept_is_not_called_equal() -> None:
    cut = Answer(True, 9, ("team", "n"), (T, N), (("a", "1"),))
    assert contrast(cut, cut, ANY_ORDER).verdict is TwinVerdict.UNKNOWN


def test_long_values_are_kept_as_digests() -> None:
    assert kept("x" * 300) != kept("x" * 299 + "y")
    assert len(kept("x" * 300) or "") < 100


@pytest.mark.parametrize(
    ("sql", "tables", "order", "chooses"),
    [
        ("SELECT a FROM desk.tickets ORDER BY a DESC, 2", {"tickets"}, ("a", 1), False),
        ('SELECT a FROM desk."My Table" t JOIN DESK.Notes USING (id)', {"My Table", "notes"}, (), False),
        ("WITH c AS (SELECT * FROM desk.tickets) SELECT * FROM c ORDER BY lower(a)", {"tickets"}, None, False),
        ("SELECT a FROM other.tickets LIMIT 3", set(), (), True),
        ("SELECT DISTINCT ON (a) b FROM desk.tickets", {"tickets"}, (), True),
        ("SELECT string_agg(a, ',') FROM desk.tickets", {"tickets"}, (), True),
    ],
)
def test_what_a_query_reads_and_orders(
    sql: str, tables: set[str], order: tuple[int | str, ...] | None, chooses: bool
) -> None:
    assert shape_of(sql, "desk") == QueryShape(frozenset(tables), order, chooses)


def test_a_text_that_is_not_understood_says_nothing() -> None:
    assert shape_of("SELECT ((", "desk") == QueryShape(None, (), True)
