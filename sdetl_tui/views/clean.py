"""Clean: how many cells each rule changed, and the ledger to browse, before beside after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import sdetl_engine as engine
from sdetl_engine import CleanedResult, Stage
from sdetl_tui.blocks import Column, Facts, Row, Span, Table, Tone, line
from sdetl_tui.views.figures import Rows, count, said

if TYPE_CHECKING:
    from sdetl_engine import Deployment, LedgerLine
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.views.look import Look


def blocks(look: Look) -> tuple[Block, ...]:
    """Totals, then rule by column, then the ledger."""
    result = look.result(Stage.CLEAN, CleanedResult)
    if result is None:
        return ()
    again = result.second_pass_changes
    facts: tuple[tuple[str, Line], ...] = (
        ("cleaned copy", line(result.path)),
        ("ledger", line(result.ledger)),
        ("rows", line(count(sum(result.rows.values())))),
        ("cells changed", said(count(result.cells_changed), Tone.STRONG)),
        ("a second time", look.yes_or_no(good=again == 0, yes="would change nothing", no=f"would change {again}")),
    )
    counts = [(name, rule, number) for name, rules in result.by_column.items() for rule, number in rules.items()]
    counts.sort(key=lambda item: -item[2])
    by_rule = Table(
        "rules",
        (Column("Column", tail=True), Column("Rule"), Column("Cells", right=True)),
        Rows(counts, lambda c: Row(f"{c[0]}\0{c[1]}", (line(c[0]), line(c[1]), line(count(c[2]))))),
        empty="nothing had to be changed",
        title="By column and rule",
    )
    return (Facts(facts), by_rule, ledger(look))


def ledger(look: Look) -> Table:
    """Every changed cell, read page by page."""
    columns = (
        Column("Column", tail=True),
        Column("Row", spare=True),
        Column("Rule", spare=True),
        Column("Before"),
        Column("After"),
    )
    return Table("ledger", columns, _Ledger(look.run), empty="no cell was changed", title="Ledger: every changed cell")


def detail(look: Look, table: str, key: str) -> tuple[Block, ...]:
    """One changed cell in full, or the first cells that a rule changed in a column."""
    if table == "ledger":
        lines = engine.changed_cells(look.run, offset=int(key) - 1, limit=1).lines
        return _cell(lines[0]) if lines else ()
    name, _, rule = key.partition("\0")
    result = look.result(Stage.CLEAN, CleanedResult)
    owner = next((t for t in result.rows if name.startswith(f"{t}.")), None) if result is not None else None
    if owner is None:
        return ()
    page = engine.changed_cells(look.run, limit=200, table=owner, column=name.removeprefix(f"{owner}."), rule=rule)
    columns = (Column("Row"), Column("Before"), Column("After"))
    rows = Rows(
        page.lines, lambda item: Row(str(item.id), (line(item.row_key), _value(item.before), _value(item.after)))
    )
    title = f"{name}, {rule}: {count(min(200, page.total))} of {engine.counted(page.total, 'cell')}"
    return (Table("cells", columns, rows, title=title),)


def _cell(item: LedgerLine) -> tuple[Block, ...]:
    return (
        Facts(
            (
                ("cell", said(f"{item.table}.{item.column}", Tone.STRONG)),
                ("row", line(item.row_key)),
                ("rule", line(item.rule.value)),
                ("before", _value(item.before)),
                ("after", _value(item.after)),
            )
        ),
    )


def _value(value: object) -> Line:
    if value is None:
        return line(Span("NULL", Tone.DIM))
    if value == "":
        return line(Span("'' (empty)", Tone.DIM))
    return line(value.hex() if isinstance(value, bytes) else str(value))


class _Ledger(Sequence[Row]):
    """The ledger as rows; each slice is one query."""

    def __init__(self, run: Deployment) -> None:
        self._run = run
        self._length: int | None = None

    def __len__(self) -> int:
        if self._length is None:
            self._length = engine.changed_cells(self._run, limit=0).total
        return self._length

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        first, last, _ = index.indices(len(self)) if isinstance(index, slice) else (index, index + 1, 1)
        found = [
            _ledger_row(item)
            for item in engine.changed_cells(self._run, offset=first, limit=max(0, last - first)).lines
        ]
        return found if isinstance(index, slice) else found[0]


def _ledger_row(item: LedgerLine) -> Row:
    cells = (
        line(f"{item.table}.{item.column}"),
        line(item.row_key),
        line(item.rule.value),
        _value(item.before),
        _value(item.after),
    )
    return Row(str(item.id), cells)
