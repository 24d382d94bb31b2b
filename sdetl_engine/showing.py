"""Every row behind a finding, page by page, read from the frozen copy; a finding itself keeps only the first few.

What these functions return holds content of the source: it is for the operator's eyes, never for a log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.events import Reporter
from sdetl_engine.findings import Evidence, Finding
from sdetl_engine.profiling.facts import KeyFacts, TypeVerdict
from sdetl_engine.records import PreflightResult, ProfileResult
from sdetl_engine.sqlite import iso
from sdetl_engine.sqlite.addressing import RowKey, key_text, row_key
from sdetl_engine.sqlite.fits import fits_sql, register_functions, text_codec
from sdetl_engine.sqlite.keys import is_orphan_sql
from sdetl_engine.sqlite.open import open_readonly, quote
from sdetl_engine.values.encodings import visible
from sdetl_engine.values.missing import markers_for
from sdetl_engine.values.schema import Schema
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType

_LONGEST = 200
_SHOWN_BYTES = 4 * _LONGEST

EvidenceMark = tuple[tuple[object, bool], ...]
"""Where a page ended: the row's key, each part with whether it is a text (then it stands as bytes)."""


@dataclasses.dataclass(frozen=True, slots=True)
class EvidencePage:
    """Some rows in the order of their keys.  ``last``: what to go on after, None when there are no more."""

    evidence: tuple[Evidence, ...]
    last: EvidenceMark | None


def can_show_rows(run: Deployment, finding: Finding) -> bool:
    """True when the rows behind the finding can be asked for: they are rows of a table, by a rule that says of each row
    whether it is one."""
    return _place(run, finding) is not None


def finding_rows(
    run: Deployment,
    finding: Finding,
    *,
    after: EvidenceMark | None = None,
    limit: int = 100,
    reporter: Reporter | None = None,
) -> EvidencePage:
    """``limit`` rows behind the finding that come after ``after``; going on with ``last`` costs no more on later pages.

    No rows where `can_show_rows` is False.  May read the whole table when such rows are few: raises Cancelled soon after
    the reporter was asked to stop.
    """
    place = _place(run, finding)
    if place is None:
        return EvidencePage((), None)
    path = Path(run.results.load(Stage.PREFLIGHT, PreflightResult).frozen.path)
    with contextlib.closing(open_readonly(path)) as connection:
        codec = text_codec(connection)
        register_functions(connection)
        iso.register(connection)
        rows = _stoppable(connection, place.query(after), place.parameters(after, limit), reporter)
    found = tuple(
        Evidence(_text("text", row[0], codec), visible(_text(row[1], row[2], codec), _LONGEST)) for row in rows
    )
    return EvidencePage(found, place.mark(rows[-1]) if len(rows) == limit else None)


def _stoppable(
    connection: sqlite3.Connection, query: str, parameters: Mapping[str, object], reporter: Reporter | None
) -> list[tuple[object, ...]]:
    if reporter is None:
        return connection.execute(query, parameters).fetchall()
    try:
        with reporter.interrupting(connection.interrupt):
            return connection.execute(query, parameters).fetchall()
    except sqlite3.OperationalError:
        reporter.check()
        raise


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """Where the rows are: terms of SQL."""

    table: str
    key: tuple[str, ...]
    name: str
    """What a row is called, in words."""
    value: str
    condition: str
    marks: Mapping[str, str]
    """Declared marks, by the names of the parameters that stand for them."""

    def query(self, after: EvidenceMark | None) -> str:
        """The rows after that one: name, storage class, value, then the parts of the key in pairs (see ``EvidenceMark``)."""
        value, keys = self.value, ", ".join(self.key)
        parts = (
            f"CASE typeof({k}) WHEN 'text' THEN CAST({k} AS BLOB) ELSE {k} END, typeof({k}) = 'text'" for k in self.key
        )
        onward = "TRUE"
        if after is not None:
            bounds = (f"CAST(:k{n} AS TEXT)" if is_text else f":k{n}" for n, (_, is_text) in enumerate(after))
            onward = f"({keys}) > ({', '.join(bounds)})"
        return (
            f"SELECT CAST({self.name} AS BLOB), typeof({value}), CASE WHEN typeof({value}) IN ('text', 'blob')"
            f" THEN substr(CAST({value} AS BLOB), 1, {_SHOWN_BYTES}) ELSE {value} END, {', '.join(parts)}"
            f" FROM {self.table} AS s WHERE {onward} AND ({self.condition}) ORDER BY {keys} LIMIT :limit"
        )

    def parameters(self, after: EvidenceMark | None, limit: int) -> dict[str, object]:
        """What the parameters of ``query`` stand for."""
        return {**{f"k{n}": part for n, (part, _) in enumerate(after or ())}, "limit": limit, **self.marks}

    def mark(self, row: tuple[object, ...]) -> EvidenceMark:
        """The key of a row that ``query`` gave."""
        return tuple((part, bool(is_text)) for part, is_text in zip(row[3::2], row[4::2], strict=True))


def _place(run: Deployment, finding: Finding) -> _Place | None:
    if finding.table is None or finding.column is None or not run.results.has(Stage.PROFILE):
        return None
    schema = run.results.load(Stage.PREFLIGHT, PreflightResult).source_schema
    table = next((t for t in schema.tables if t.name == finding.table), None)
    key = row_key(table) if table is not None else None
    profile = run.results.load(Stage.PROFILE, ProfileResult)
    if table is None or key is None or finding.table not in {t.table for t in profile.tables}:
        return None
    declared = markers_for(run.settings.clean.null_markers, finding.table, finding.column)
    marks = {f"mark{number}": mark for number, mark in enumerate(declared)}
    value = f"s.{quote(finding.column)}"
    if finding.rule in _ORPHANS:
        condition = _orphans(profile, schema, finding)
    elif finding.rule in _OF_KEYS:
        condition = _OF_KEYS[finding.rule](quote(finding.table), key, value)
    else:
        condition = _of_values(profile, finding, value, marks)
    if condition is None:
        return None
    terms = tuple(f"s.{term}" for term in key.terms)
    name = f"'rowid ' || {terms[0]}" if key.is_rowid else key_text(table, key, "s")
    return _Place(quote(finding.table), terms, name, value, condition, marks)


def _orphans(profile: ProfileResult, schema: Schema, finding: Finding) -> str | None:
    relation = next((r for r in profile.relation_facts if _is_of(r, finding)), None)
    if relation is None:
        return None
    parent = next((t for t in schema.tables if t.name == relation.parent), None)
    is_there = parent is not None and set(relation.parent_columns) <= {c.name for c in parent.columns}
    return is_orphan_sql("s", relation.columns, relation.parent if is_there else None, relation.parent_columns)


def _of_values(profile: ProfileResult, finding: Finding, value: str, marks: Iterable[str]) -> str | None:
    assert finding.table is not None
    assert finding.column is not None
    judge = _OF_VALUES.get(finding.rule)
    if judge is None:
        return None
    verdict = profile.verdict(finding.table, finding.column)
    said = judge(verdict, profile.table(finding.table).column(finding.column).proposed, value)
    missing = "".join(f" AND {value} IS NOT :{name}" for name in marks)
    return f"{value} IS NOT NULL AND {value} <> ''{missing} AND ({said})" if said is not None else None


def _is_of(relation: KeyFacts, finding: Finding) -> bool:
    return (relation.table, relation.columns, relation.orphan_rows) == (
        finding.table,
        (finding.column,),
        finding.count,
    )


def _no_date(verdict: TypeVerdict, proposed: Kind, value: str) -> str | None:
    """What no accepted format reads in the settled order; while that is not settled, in neither."""
    orders = (True, False) if verdict.day_first is None else (verdict.day_first,)
    read = [f"{iso.to_iso(value, order, verdict.agreement)} IS NOT NULL" for order in orders]
    known = f"typeof({value}) = 'text' AND ({iso.is_iso(value)} OR {' OR '.join(read)})"
    if verdict.agreement:
        known = f"({known}) OR {read[0]}"
    return f"NOT ({known})"


def _either(verdict: TypeVerdict, proposed: Kind, value: str) -> str | None:
    """What can be read day first and month first, and is another day then."""
    if verdict.agreement:
        return None
    day, month = (iso.to_iso(value, day_first) for day_first in (True, False))
    return f"typeof({value}) = 'text' AND NOT {iso.is_iso(value)} AND {day} <> {month}"


def _without_key(table: str, key: RowKey, value: str) -> str | None:
    return f"{value} IS NULL"


def _repeated(table: str, key: RowKey, value: str) -> str | None:
    """What has a key that a row before it has, told apart byte by byte as PostgreSQL will."""
    if not key.is_rowid:
        return None
    firsts = f"SELECT min({key.of('f')}) FROM {table} AS f GROUP BY {value.replace('s.', 'f.', 1)} COLLATE BINARY"
    return f"{value} IS NOT NULL AND {key.of('s')} NOT IN ({firsts})"


def _rewritten(verdict: TypeVerdict, proposed: Kind, value: str) -> str | None:
    written = iso.to_iso(value, verdict.day_first, verdict.agreement)
    is_text = "TRUE" if verdict.agreement else f"typeof({value}) = 'text'"
    return f"{is_text} AND NOT {iso.is_iso(value)} AND {written} IS NOT NULL"


def _misfit(verdict: TypeVerdict, proposed: Kind, value: str) -> str | None:
    """Pairs of truth are judged by the column as a whole: their rows are not told one by one."""
    if proposed in DATE_KINDS:
        return _no_date(verdict, proposed, value)
    return None if proposed is Kind.BOOLEAN else f"NOT ({fits_sql(proposed, value)})"


def _residue(verdict: TypeVerdict, proposed: Kind, value: str) -> str | None:
    return _misfit(verdict, TargetType.parse(verdict.chosen).kind, value)


_ORPHANS = frozenset({"FK-ORPHANS", "RELATION-ORPHANS"})
_OF_KEYS: Mapping[str, Callable[[str, RowKey, str], str | None]] = {
    "KEY-DUPLICATE": _repeated,
    "KEY-NULL": _without_key,
}
_OF_VALUES: Mapping[str, Callable[[TypeVerdict, Kind, str], str | None]] = {
    "BREAKER-COLUMNS": _misfit,
    "BREAKER-DATES": _no_date,
    "DATE-CORRUPT": _no_date,
    "DATE-ORDER": _either,
    "DATE-ORDER-UNDECIDED": _either,
    "DATE-TO-ISO": _rewritten,
    "TEXT-UNLOADABLE": _residue,
    "TYPE-MISMATCH": _misfit,
    "TYPE-RESIDUE": _residue,
}


def _text(kind: object, raw: object, codec: str) -> str:
    if raw is None:
        return "NULL"
    if not isinstance(raw, bytes):
        return str(raw)
    return f"x'{raw.hex()}'" if kind == "blob" else raw.decode(codec, "backslashreplace")
