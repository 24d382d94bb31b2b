"""Every row behind a finding, page by page, read from the frozen copy; a finding itself keeps only the first few.

What these functions return holds content of the source: it is for the operator's eyes, never for a log.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.findings import Evidence, Finding
from sdetl_engine.profiling.facts import KeyFacts, TypeVerdict
from sdetl_engine.records import PreflightResult, ProfileResult
from sdetl_engine.sqlite import iso
from sdetl_engine.sqlite.addressing import row_key
from sdetl_engine.sqlite.fits import fits_sql, register_functions, text_codec
from sdetl_engine.sqlite.keys import is_orphan_sql
from sdetl_engine.sqlite.open import open_readonly, quote
from sdetl_engine.values.encodings import visible
from sdetl_engine.values.missing import markers_for
from sdetl_engine.values.schema import Schema
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType

_LONGEST = 200
_SHOWN_BYTES = 4 * _LONGEST


@dataclasses.dataclass(frozen=True, slots=True)
class EvidencePage:
    """Some rows in the order of their rowids.  ``last``: the rowid to go on after, None when there are no more."""

    evidence: tuple[Evidence, ...]
    last: int | None


def can_show_rows(run: Deployment, finding: Finding) -> bool:
    """True when the rows behind the finding can be asked for: they are rows of a table with rowids, by a rule that says
    of each row whether it is one."""
    return _place(run, finding) is not None


def finding_rows(run: Deployment, finding: Finding, *, after: int | None = None, limit: int = 100) -> EvidencePage:
    """``limit`` rows behind the finding whose rowids are over ``after``; going on with ``last`` costs no more on later pages.

    No rows where `can_show_rows` is False.
    """
    place = _place(run, finding)
    if place is None:
        return EvidencePage((), None)
    path = Path(run.results.load(Stage.PREFLIGHT, PreflightResult).frozen.path)
    with contextlib.closing(open_readonly(path)) as connection:
        codec = text_codec(connection)
        register_functions(connection)
        iso.register(connection)
        value = place.value
        rows = connection.execute(
            f"SELECT {place.rowid}, typeof({value}), CASE WHEN typeof({value}) IN ('text', 'blob')"
            f" THEN substr(CAST({value} AS BLOB), 1, {_SHOWN_BYTES}) ELSE {value} END FROM {place.table} AS s"
            f" WHERE (:after IS NULL OR {place.rowid} > :after) AND ({place.condition}) ORDER BY {place.rowid} LIMIT :limit",
            {"after": after, "limit": limit, **place.marks},
        ).fetchall()
    found = tuple(Evidence(f"rowid {key}", visible(_text(kind, raw, codec), _LONGEST)) for key, kind, raw in rows)
    return EvidencePage(found, rows[-1][0] if len(rows) == limit else None)


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """Where the rows are: terms of SQL."""

    table: str
    rowid: str
    value: str
    condition: str
    marks: Mapping[str, str]
    """Declared marks, by the names of the parameters that stand for them."""


def _place(run: Deployment, finding: Finding) -> _Place | None:
    if finding.table is None or finding.column is None or not run.results.has(Stage.PROFILE):
        return None
    schema = run.results.load(Stage.PREFLIGHT, PreflightResult).source_schema
    table = next((t for t in schema.tables if t.name == finding.table), None)
    key = row_key(table) if table is not None else None
    profile = run.results.load(Stage.PROFILE, ProfileResult)
    if key is None or not key.is_rowid or finding.table not in {t.table for t in profile.tables}:
        return None
    declared = markers_for(run.settings.clean.null_markers, finding.table, finding.column)
    marks = {f"mark{number}": mark for number, mark in enumerate(declared)}
    value = f"s.{quote(finding.column)}"
    if finding.rule in _ORPHANS:
        condition = _orphans(profile, schema, finding)
    else:
        condition = _of_values(profile, finding, value, marks)
    if condition is None:
        return None
    return _Place(quote(finding.table), f"s.{key.terms[0]}", value, condition, marks)


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
_OF_VALUES: Mapping[str, Callable[[TypeVerdict, Kind, str], str | None]] = {
    "BREAKER-COLUMNS": _misfit,
    "BREAKER-DATES": _no_date,
    "DATE-CORRUPT": _no_date,
    "DATE-TO-ISO": _rewritten,
    "TEXT-UNLOADABLE": _residue,
    "TYPE-MISMATCH": _misfit,
    "TYPE-RESIDUE": _residue,
}


def _text(kind: str, raw: object, codec: str) -> str:
    if not isinstance(raw, bytes):
        return str(raw)
    return f"x'{raw.hex()}'" if kind == "blob" else raw.decode(codec, "backslashreplace")
