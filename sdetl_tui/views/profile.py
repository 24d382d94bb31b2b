"""Profile: the circuit breaker, then every column: declared, observed, how sure, what is missing, how it is spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import ProfileResult, SdetlError, Stage
from sdetl_tui.blocks import Column, Facts, Gauge, Note, Row, Span, Table, Tone, line
from sdetl_tui.glyphs import bar
from sdetl_tui.views.figures import Rows, count, said, share

if TYPE_CHECKING:
    from sdetl_engine import ColumnFacts, GaugeReading, TypeVerdict
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.views.look import Look

_BAR = 14


def blocks(look: Look) -> tuple[Block, ...]:
    """The breaker's gauges, then one row per column."""
    result = look.result(Stage.PROFILE, ProfileResult)
    if result is None:
        return ()
    columns = (
        *(
            Column("Column", tail=True),
            Column("Declared"),
            Column("Observed", spare=True),
            Column("Sure", right=True, spare=True),
        ),
        *(Column("Missing", right=True), Column("Becomes"), Column("Distinct", right=True, spare=True)),
    )
    breaker = Note((_breaker(result),), "Circuit breaker")
    table = Table("columns", columns, Rows(result.verdicts, lambda v: _row(result, v)), title="Columns")
    return (breaker, *(_gauge(g) for g in _nearest(result.gauges)), table)


def detail(look: Look, table: str, key: str) -> tuple[Block, ...]:
    """One column: what was measured, how its values are spread, the jury's witnesses."""
    result = look.result(Stage.PROFILE, ProfileResult)
    verdict = next((v for v in result.verdicts if _name(v) == key), None) if result is not None else None
    if result is None or verdict is None:
        return ()
    facts = result.table(verdict.table).column(verdict.column)
    return (
        Facts(tuple(_judged(result, verdict, facts))),
        Facts(tuple(_measured(facts)), "Every value, counted"),
        *_formats(look, facts),
        *_witnesses(facts),
        *_spread(look, verdict),
    )


def _nearest(gauges: Sequence[GaugeReading]) -> list[GaugeReading]:
    """Every reading that tripped; for a threshold where none did, the one nearest its limit."""
    shown: list[GaugeReading] = []
    for name in dict.fromkeys(g.name for g in gauges):
        readings = [g for g in gauges if g.name == name]
        shown += [g for g in readings if g.tripped] or [max(readings, key=lambda g: g.measured)]
    return shown


def _breaker(result: ProfileResult) -> Line:
    tripped = sum(g.tripped for g in result.gauges)
    if tripped:
        return line(Span(f"TRIPPED: {tripped} of {len(result.gauges)} readings over their limit", Tone.BAD))
    return line(Span(f"closed: {len(result.gauges)} readings, all under their limits", Tone.GOOD))


def _gauge(reading: GaugeReading) -> Gauge:
    return Gauge(
        label=f"{reading.name}: {reading.subject}",
        share=reading.measured,
        limit=reading.limit,
        shown=f"{engine.share_beside(reading.measured, reading.limit)} (limit {engine.limit_of(reading.limit)})",
        verdict="TRIPPED" if reading.tripped else "ok",
        tone=Tone.BAD if reading.tripped else Tone.GOOD,
    )


def _name(verdict: TypeVerdict) -> str:
    return f"{verdict.table}.{verdict.column}"


def _row(result: ProfileResult, verdict: TypeVerdict) -> Row:
    facts = result.table(verdict.table).column(verdict.column)
    becomes = "left out" if verdict.left_out else verdict.chosen
    cells = (
        line(Span(_name(verdict), Tone.BAD if verdict.mismatched else Tone.PLAIN)),
        line(verdict.declared or "(nothing)"),
        line(str(verdict.observed) if verdict.observed is not None else "(nothing)"),
        line(f"{verdict.confidence:.0%}" if verdict.observed is not None else ""),
        line(share(facts.missing, facts.rows)),
        line(Span("MISMATCH", Tone.BAD) if verdict.mismatched else becomes),
        line(("" if facts.distinct_is_exact else "~") + count(facts.distinct)),
    )
    return Row(_name(verdict), cells)


def _judged(result: ProfileResult, verdict: TypeVerdict, facts: ColumnFacts) -> list[tuple[str, Line]]:
    jury = result.jury.get(_name(verdict))
    rows = [
        ("column", said(_name(verdict), Tone.STRONG)),
        ("declared", line(verdict.declared or "(nothing)")),
        ("observed", line(f"{verdict.observed or 'nothing'}, confidence {verdict.confidence:.1%}")),
        ("becomes", line("left out" if verdict.left_out else verdict.chosen)),
        ("because", line(verdict.reason)),
    ]
    if jury:
        rows.append(("day or month", line(jury)))
    if verdict.corrupt_dates:
        rows.append(
            (
                "corrupt",
                line(
                    Span(
                        f"{engine.counted(verdict.corrupt_dates, 'value')} {engine.inflected(verdict.corrupt_dates, 'is', 'are')} no date",
                        Tone.BAD,
                    )
                ),
            )
        )
    if facts.missing_marks:
        marks = ", ".join(f"{mark!r} {count(number)}" for mark, number in facts.missing_marks.items())
        rows.append(("marks", line(Span(f"{marks}: declared missing? (F opens the findings)", Tone.NOTICE))))
    return rows


def _measured(facts: ColumnFacts) -> list[tuple[str, Line]]:
    stored = {"integer": facts.integers, "real": facts.reals, "text": facts.texts, "blob": facts.blobs}
    spelled = ", ".join(f"{count(number)} {name}" for name, number in stored.items() if number) or "none"
    rows = [
        ("rows", line(count(facts.rows))),
        (
            "missing",
            line(f"{count(facts.nulls)} NULL, {count(facts.empties)} empty, {count(facts.marked)} declared marks"),
        ),
        ("stored as", line(spelled)),
        ("distinct", line(("" if facts.distinct_is_exact else "about ") + count(facts.distinct))),
    ]
    if facts.smallest_integer is not None:
        rows.append(("integers", line(f"{facts.smallest_integer} .. {facts.largest_integer}")))
    if facts.smallest_real is not None:
        rows.append(("reals", line(f"{facts.smallest_real!r} .. {facts.largest_real!r}")))
    if facts.texts:
        rows.append(("texts", line(f"{facts.smallest_text} .. {facts.largest_text}")))
        rows.append(("lengths", line(f"{count(facts.shortest)} .. {count(facts.longest)} characters")))
    odd = {
        "with a leading zero": facts.leading_zeros,
        "with control characters": facts.with_controls,
        "with NUL": facts.with_nul,
        "not UTF-8": facts.invalid_utf8,
        "padded with blanks": facts.padded,
    }
    if any(odd.values()):
        told = ", ".join(f"{count(number)} {name}" for name, number in odd.items() if number)
        rows.append(("noticed", line(told)))
    return rows


def _formats(look: Look, facts: ColumnFacts) -> list[Block]:
    if facts.dates is None or not facts.dates.shapes:
        return []
    ranked = sorted(facts.dates.shapes.items(), key=lambda item: -item[1])
    lines = [_bar_line(look, shape, number, facts.present) for shape, number in ranked]
    return [Note(tuple(lines), "How its dates are written")]


def _witnesses(facts: ColumnFacts) -> list[Block]:
    if facts.dates is None:
        return []
    groups = {
        "only day first reads": facts.dates.day_first_witnesses,
        "only month first reads": facts.dates.month_first_witnesses,
        "no format reads": facts.dates.unreadable_witnesses,
    }
    lines = [
        line(Span(f"{name}: ", Tone.DIM), f"row {w.rowid}: " if w.rowid is not None else "", w.value)
        for name, witnesses in groups.items()
        for w in witnesses[:5]
    ]
    return [Note(tuple(lines), "Witnesses")] if lines else []


def _spread(look: Look, verdict: TypeVerdict) -> list[Block]:
    """The commonest values; silence where the file cannot be asked."""
    try:
        values = engine.column_values(look.run, verdict.table, verdict.column, limit=10)
    except SdetlError:
        return []
    rows = sum(v.rows for v in values)
    lines = [_bar_line(look, v.value if v.storage != "null" else "NULL", v.rows, rows) for v in values]
    return [Note(tuple(lines), "Commonest values of the first 200,000 rows")] if lines else []


def _bar_line(look: Look, label: str, number: int, whole: int) -> Line:
    drawn = bar(number / whole if whole else 0.0, _BAR, look.glyphs)
    return line(Span(f"{drawn} ", Tone.ACCENT), f"{count(number):>10}  ", label[:200])
