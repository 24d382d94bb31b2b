"""Validate: the dashboards panel by panel, the sample queries, and both sides' aggregates beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import Stage, TwinVerdict, ValidateResult
from sdetl_tui.blocks import Column, Facts, Row, Span, Table, Tone, line
from sdetl_tui.views.figures import Rows, count, said
from sdetl_tui.views.grafana import grafana_facts

if TYPE_CHECKING:
    from sdetl_engine import ComparedColumn, PanelRecord, PanelTwin
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.views.look import Look


def blocks(look: Look) -> tuple[Block, ...]:
    """Totals, panels (those that failed first), sample queries, columns (those that differ first)."""
    result = look.result(Stage.VALIDATE, ValidateResult)
    if result is None:
        return ()
    differing = sum(bool(c.differs) for c in result.columns)
    failed = sum(not p.ok and p.skipped is None for p in result.panels)
    tried = sum(p.skipped is None for p in result.panels)
    facts: list[tuple[str, Line]] = [
        (
            "both sides",
            look.yes_or_no(
                good=not differing,
                yes=f"equal in {engine.counted(len(result.columns), 'column')}",
                no=f"{engine.counted(differing, 'column')} {engine.inflected(differing, 'DIFFERS', 'DIFFER')}",
            ),
        ),
        (
            "types",
            look.yes_or_no(
                good=not result.type_differences,
                yes=f"{result.types_checked} as planned",
                no=f"{len(result.type_differences)} differ",
            ),
        ),
        *_row_by_row(look, result),
        ("dashboards", _dashboards(look, result, tried, failed)),
    ]
    if result.rehearsed_as:
        facts.append(
            ("tried as", line(f"role {result.rehearsed_as}, under the serving name, in a transaction rolled back"))
        )
    if result.compared_with:
        facts.append(("beside live", _beside(look, result)))
    facts += grafana_facts(look, result.grafana)
    panels = sorted(enumerate(result.panels), key=lambda item: _gravity(item[1]))
    columns = sorted(enumerate(result.columns), key=lambda item: not item[1].differs)
    return (
        Facts(tuple(facts)),
        Table(
            "panels",
            (
                Column("Result"),
                Column("ms", right=True),
                Column("Rows", right=True, spare=True),
                *((Column("Beside live"),) if result.compared_with else ()),
                Column("Panel"),
                Column("Dashboard", spare=True),
            ),
            Rows(panels, lambda p: _panel(look, *p, beside=result.compared_with is not None)),
            empty="no dashboards were named: --dashboards DIR or --grafana URL",
            title="Dashboards, panel by panel",
        ),
        Table(
            "queries",
            (Column("Result"), Column("Query"), Column("Measured")),
            Rows(
                result.sample_queries,
                lambda c: Row(c.name, (look.verdict(c.verdict), line(c.name), line(c.measured))),
            ),
            title="Sample queries",
        ),
        Table(
            "columns",
            (Column("Result"), Column("Column", tail=True), Column("Source"), Column("Target")),
            Rows(columns, lambda c: _column(look, *c)),
            title="Both sides, column by column",
        ),
    )


def detail(look: Look, table: str, key: str) -> tuple[Block, ...]:
    """One panel with its error, one query, or one column's measures on both sides."""
    result = look.result(Stage.VALIDATE, ValidateResult)
    if result is None:
        return ()
    if table == "panels":
        return _panel_detail(result.panels[int(key)])
    if table == "columns":
        return _column_detail(look, result.columns[int(key)])
    query = next((c for c in result.sample_queries if c.name == key), None)
    if query is None:
        return ()
    return (
        Facts(
            (("query", line(query.name)), ("result", look.verdict(query.verdict)), ("measured", line(query.measured)))
        ),
    )


def _row_by_row(look: Look, result: ValidateResult) -> list[tuple[str, Line]]:
    """How much of the ledger equation was held against the candidate; nothing where that was switched off."""
    if not result.diff:
        return []
    compared = [table for table in result.diff if not table.skipped]
    differ = sum(table.total for table in result.diff)
    said = (
        f"{engine.counted(sum(t.rows_expected for t in compared), 'row')} of {engine.counted(len(compared), 'table')}"
    )
    if not all(table.whole for table in compared):
        said += ", larger ones by sample"
    if len(compared) < len(result.diff):
        said += f", none of {engine.counted(len(result.diff) - len(compared), 'table')}"
    good = look.yes_or_no(
        good=not differ, yes=f"as source + ledger - quarantine: {said}", no=f"{differ:,} DIFFER: {said}"
    )
    return [("row by row", good)]


def _dashboards(look: Look, result: ValidateResult, tried: int, failed: int) -> Line:
    if not result.panels:
        return line(Span("not tried: no dashboards were named", Tone.NOTICE))
    slow = sum(p.slow for p in result.panels)
    slower = f", {slow} slow" if slow else ""
    good = f"{len(result.dashboards)} load: {tried} queries pass{slower}"
    return look.yes_or_no(good=not failed, yes=good, no=f"{failed} of {tried} queries FAIL{slower}")


def _beside(look: Look, result: ValidateResult) -> Line:
    """How many panels compare how with the version that is live."""
    twins = [p.twin for p in result.panels if p.twin is not None]
    counted = [f"{n} {verdict}" for verdict in TwinVerdict if (n := sum(t.verdict is verdict for t in twins))]
    slower = sum(t.times_slower is not None for t in twins)
    text = ", ".join([*counted, *([f"{slower} slower"] if slower else [])])
    noticed = any(_is_noticed(t) for t in twins)
    return line(Span(f"{text} (live: {result.compared_with})", Tone.NOTICE if noticed else Tone.GOOD))


def _is_noticed(twin: PanelTwin) -> bool:
    return (
        not twin.explained or twin.times_slower is not None or twin.verdict in (TwinVerdict.EMPTY, TwinVerdict.BROKEN)
    )


def _gravity(panel: PanelRecord) -> tuple[bool, bool, bool, bool, float]:
    """What failed first, then what compares badly with the live version, then what is slow."""
    twin = panel.twin
    return (
        panel.ok,
        not (twin is not None and _is_noticed(twin)),
        not panel.slow,
        twin is None or twin.verdict is TwinVerdict.EQUAL,
        -panel.milliseconds,
    )


def _panel(look: Look, number: int, panel: PanelRecord, *, beside: bool) -> Row:
    if panel.skipped is not None:
        word: Line = line(Span("not tried", Tone.DIM))
    elif panel.ok and panel.slow:
        word = line(Span("! slow", Tone.NOTICE))
    else:
        word = look.yes_or_no(good=panel.ok, yes="passed", no="FAILED")
    cells = (
        word,
        line(f"{panel.milliseconds:,.0f}"),
        line(count(panel.rows)),
        *((_compared(panel.twin),) if beside else ()),
        line(panel.panel),
        line(panel.dashboard),
    )
    return Row(str(number), cells)


def _compared(twin: PanelTwin | None) -> Line:
    if twin is None:
        return line(Span("-", Tone.DIM))
    slower = f", {twin.times_slower:g} times slower" if twin.times_slower is not None else ""
    word = f"{twin.verdict}{slower}"
    if twin.verdict is TwinVerdict.BROKEN:
        return line(Span(word, Tone.BAD))
    return line(Span(f"! {word}", Tone.NOTICE) if _is_noticed(twin) else word)


def _panel_detail(panel: PanelRecord) -> tuple[Block, ...]:
    rows = [
        ("dashboard", line(panel.dashboard)),
        ("panel", said(panel.panel, Tone.STRONG)),
        ("query", line(panel.ref)),
        ("took", line(f"{panel.milliseconds:,.0f} ms, {engine.counted(panel.rows, 'row')}")),
    ]
    if panel.error:
        rows.append(("error", line(Span(panel.error, Tone.BAD))))
    if panel.twin is not None:
        twin = panel.twin
        rows.append(("on live", line(f"{twin.milliseconds:,.0f} ms, {engine.counted(twin.rows, 'row')}")))
        rows.append(("beside live", _compared(twin)))
        rows += [("", line(how)) for how in twin.how]
        if not twin.explained:
            rows.append(("", line(Span("more than the data of its tables explain", Tone.NOTICE))))
    if panel.skipped:
        rows.append(("not tried", line(panel.skipped)))
    return (Facts(tuple(rows)),)


def _column(look: Look, number: int, column: ComparedColumn) -> Row:
    shown = column.differs or tuple(column.source)[:2]
    cells = (
        look.yes_or_no(good=not column.differs, yes="equal", no="DIFFERS"),
        line(f"{column.table}.{column.column}"),
        line(", ".join(f"{m} {column.source.get(m)}" for m in shown)),
        line(", ".join(f"{m} {column.target.get(m)}" for m in shown)),
    )
    return Row(str(number), cells)


def _column_detail(look: Look, column: ComparedColumn) -> tuple[Block, ...]:
    def row(measure: str) -> Row:
        here, there = column.source.get(measure), column.target.get(measure)
        same = look.yes_or_no(good=measure not in column.differs, yes="equal", no="DIFFERS")
        return Row(measure, (line(measure), line(_shown(here)), line(_shown(there)), same))

    columns = (Column("Measure"), Column("Source"), Column("Target"), Column("Verdict"))
    return (Table("measures", columns, Rows(list(column.source), row), title=f"{column.table}.{column.column}"),)


def _shown(value: str | None) -> str:
    return "(none)" if value is None else value
