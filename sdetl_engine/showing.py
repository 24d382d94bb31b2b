"""Every row behind a finding, page by page, read from the frozen copy; a finding itself keeps only the first few.

What these functions return holds content of the source: it is for the operator's eyes, never for a log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sdetl_engine.checklist import Stage
from sdetl_engine.deployment import Deployment
from sdetl_engine.events import Reporter
from sdetl_engine.findings import Evidence, Finding
from sdetl_engine.profiling.facts import KeyFacts
from sdetl_engine.records import PreflightResult, ProfileResult
from sdetl_engine.sqlite import behind
from sdetl_engine.sqlite.addressing import RowKey, key_text, row_key
from sdetl_engine.sqlite.fits import text_codec
from sdetl_engine.sqlite.keys import is_orphan_sql
from sdetl_engine.sqlite.open import open_readonly, quote
from sdetl_engine.values.encodings import visible
from sdetl_engine.values.missing import markers_for
from sdetl_engine.values.schema import Schema, Table

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
        behind.register(connection)
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
            f" THEN coalesce(substr(CAST({value} AS BLOB), 1, {_SHOWN_BYTES}), x'') ELSE {value} END, {', '.join(parts)}"
            f" FROM {self.table} AS s WHERE {onward} AND ({self.condition}) ORDER BY {keys} LIMIT :limit"
        )

    def parameters(self, after: EvidenceMark | None, limit: int) -> dict[str, object]:
        """What the parameters of ``query`` stand for."""
        return {**{f"k{n}": part for n, (part, _) in enumerate(after or ())}, "limit": limit, **self.marks}

    def mark(self, row: tuple[object, ...]) -> EvidenceMark:
        """The key of a row that ``query`` gave."""
        return tuple((part, bool(is_text)) for part, is_text in zip(row[3::2], row[4::2], strict=True))


def _place(run: Deployment, finding: Finding) -> _Place | None:
    if finding.table is None or not run.results.has(Stage.PROFILE):
        return None
    schema = run.results.load(Stage.PREFLIGHT, PreflightResult).source_schema
    table = next((t for t in schema.tables if t.name == finding.table), None)
    key = row_key(table) if table is not None else None
    profile = run.results.load(Stage.PROFILE, ProfileResult)
    if table is None or key is None or finding.table not in {t.table for t in profile.tables}:
        return None
    terms = tuple(f"s.{term}" for term in key.terms)
    name = f"'rowid ' || {terms[0]}" if key.is_rowid else key_text(table, key, "s")
    place = functools.partial(_Place, quote(finding.table), terms, name)
    if finding.rule in behind.OF_VALUES:
        return _of_values(run, profile, finding, place)
    columns, condition = _of_rows(profile, schema, finding, table, key)
    return place(behind.together(columns), condition, {}) if condition is not None else None


def _of_rows(
    profile: ProfileResult, schema: Schema, finding: Finding, table: Table, key: RowKey
) -> tuple[Sequence[str], str | None]:
    """The columns by which rows are told, and the condition that tells them, if the rule is about rows at all."""
    if finding.rule in _ORPHANS:
        relation = next((r for r in profile.relation_facts if _is_it(finding, r, r.orphan_rows)), None)
        return (relation.columns, _orphans(schema, relation)) if relation is not None else ((), None)
    condition = behind.OF_ROWS.get(finding.rule)
    if condition is None:
        return (), None
    columns: Sequence[str] = (finding.column,) if finding.column is not None else ()
    if finding.rule == "ROW-DUPLICATE":
        columns = [column.name for column in table.columns]
    elif not columns:
        counts = {"KEY-DUPLICATE": "duplicate_rows", "KEY-NULL": "null_rows"}
        keys = profile.table(table.name).keys
        columns = next((k.columns for k in keys if _is_it(finding, k, getattr(k, counts[finding.rule]))), ())
    return columns, condition(table, key, columns) if columns else None


def _is_it(finding: Finding, facts: KeyFacts, count: int) -> bool:
    """Whether the finding is about this key or relation; of one with several columns only the message names them."""
    if (facts.table, count) != (finding.table, finding.count):
        return False
    return facts.columns == (finding.column,) if finding.column else ", ".join(facts.columns) in finding.message


def _orphans(schema: Schema, relation: KeyFacts) -> str:
    parent = next((t for t in schema.tables if t.name == relation.parent), None)
    is_there = parent is not None and set(relation.parent_columns) <= {c.name for c in parent.columns}
    return is_orphan_sql("s", relation.columns, relation.parent if is_there else None, relation.parent_columns)


def _of_values(
    run: Deployment, profile: ProfileResult, finding: Finding, place: Callable[..., _Place]
) -> _Place | None:
    if finding.table is None or finding.column is None:
        return None
    declared = markers_for(run.settings.clean.null_markers, finding.table, finding.column)
    marks = {f"mark{number}": mark for number, mark in enumerate(declared)}
    value = f"s.{quote(finding.column)}"
    began = run.journal.last("stage_started", stage=str(Stage.PROFILE))
    column = behind.Column(
        value,
        profile.table(finding.table).column(finding.column),
        profile.verdict(finding.table, finding.column),
        datetime.fromisoformat(began["at"]) if began is not None else datetime.now(UTC),
    )
    said = behind.OF_VALUES[finding.rule](column)
    if said is None:
        return None
    unmarked = "".join(f" AND {value} IS NOT :{name}" for name in marks)
    return place(value, f"{value} IS NOT NULL{unmarked} AND ({said})", marks)


_ORPHANS = frozenset({"FK-ORPHANS", "RELATION-ORPHANS"})


def _text(kind: object, raw: object, codec: str) -> str:
    if raw is None:
        return "NULL"
    if not isinstance(raw, bytes):
        return str(raw)
    if not raw:
        return "(empty)"
    return f"x'{raw.hex()}'" if kind == "blob" else raw.decode(codec, "backslashreplace")
