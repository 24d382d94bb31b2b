"""Relations between tables: as the plan writes them, and as names and values give them away."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from sdetl_engine.errors import UsageError
from sdetl_engine.profiling.facts import ColumnFacts, TableFacts
from sdetl_engine.values.declared import declared_target
from sdetl_engine.values.schema import Column, Relation, Schema, Table
from sdetl_engine.values.types import Kind

Overlap = Callable[[str, str, str, str], float]
"""``overlap(child, column, parent, key)``: share of sampled child values that are found in the parent's key."""

_ENOUGH = 0.03
"""Ticket systems export a window: nine in ten timesheets may point at tickets that are not in the file."""
_UNIQUE = 0.99
"""Distinct values of large columns are estimated; an id comes this close to its number of rows."""
_FEW_CODES = 12
_MANY_KEYS = 100
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_KEY_WORDS = frozenset({"id", "code", "key", "no", "nr", "number", "ref", "fk"})
_POINTING = (None, Kind.INTEGER, Kind.TEXT, Kind.DOUBLE, Kind.NUMERIC)

_Facts = Mapping[tuple[str, str], ColumnFacts]


@dataclasses.dataclass(frozen=True, slots=True)
class _Candidate:
    """A column that may point at a key.  ``strength``: how much of its name says so."""

    child: str
    column: str
    parent: str
    key: str
    strength: int


def parse(text: str, schema: Schema) -> Relation:
    """Read ``child.column -> parent.column``; names may hold dots, blanks and arrows.

    Raises UsageError that names the nearest column there is.
    """
    ends = [(text[: m.start()].strip(), text[m.end() :].strip()) for m in re.finditer("->", text)]
    if not ends:
        raise UsageError(
            f"{text!r} is not of the form child.column -> parent.column", next_step="correct load.relations"
        )
    names = _spellings(schema)
    left, right = next((e for e in ends if e[0] in names and e[1] in names), ends[0])
    child, parent = _known(left, names), _known(right, names)
    return Relation(child[0], (child[1],), parent[0], (parent[1],), "plan")


def infer(schema: Schema, overlap: Overlap, tables: Sequence[TableFacts] = ()) -> tuple[Relation, ...]:
    """Relations that nobody declared: a column named after another table (or after its key), whose values are there.

    A child column points at one parent at most: the one that its name says most about, then the one that most of
    its values are found in.  ``tables``: what was measured; with it, only keys that are unique count as such.
    """
    facts = {(t.table, c.column): c for t in tables for c in t.columns}
    best: dict[tuple[str, str], tuple[tuple[int, float], Relation]] = {}
    for found in _candidates(schema, facts):
        if _is_small_code(found, facts):
            continue
        share = overlap(found.child, found.column, found.parent, found.key)
        rank = (found.strength, share)
        known = best.get((found.child, found.column))
        if share >= _ENOUGH and (known is None or rank > known[0]):
            relation = Relation(found.child, (found.column,), found.parent, (found.key,), "inferred")
            best[found.child, found.column] = (rank, relation)
    return tuple(relation for _, relation in best.values())


def _candidates(schema: Schema, facts: _Facts) -> Iterator[_Candidate]:
    for parent in schema.tables:
        for key in _keys(parent, facts):
            for child in schema.tables:
                if child is not parent:
                    yield from _pointing_at(parent, key, child)


def _pointing_at(parent: Table, key: Column, child: Table) -> Iterator[_Candidate]:
    declared = {c for k in child.foreign_keys for c in k.columns}
    for column in child.columns:
        strength = _strength(column, parent, key, child)
        if column.name not in declared and strength:
            yield _Candidate(child.name, column.name, parent.name, key.name, strength)


def _keys(table: Table, facts: _Facts) -> list[Column]:
    """Columns that identify a row: the primary key, or the first column when its name says id and it does."""
    if len(table.primary_key) == 1:
        return [table.column(table.primary_key[0])]
    if table.primary_key or not table.columns:
        return []
    first = table.columns[0]
    return [first] if "id" in _words(first.name) and _is_unique(facts.get((table.name, first.name))) else []


def _is_unique(facts: ColumnFacts | None) -> bool:
    """True when nearly every row has its own whole number; True too when nothing was measured."""
    if facts is None:
        return True
    return facts.distinct >= _UNIQUE * facts.rows and facts.integers + facts.digit_texts >= _UNIQUE * facts.rows


def _is_small_code(found: _Candidate, facts: _Facts) -> bool:
    """A handful of codes (1 to 5) is found among thousands of ids without pointing at them."""
    child, parent = facts.get((found.child, found.column)), facts.get((found.parent, found.key))
    if child is None or parent is None:
        return False
    return child.distinct <= _FEW_CODES and parent.distinct > _MANY_KEYS and child.rows > _MANY_KEYS


def _strength(column: Column, parent: Table, key: Column, child: Table) -> int:
    """0 when the name says nothing; more, the more words it shares with the parent's name; 1 for the key's name."""
    target = declared_target(column.declared)
    if (target.kind if target else None) not in _POINTING:
        return 0
    words, named = set(_words(column.name)), _singular(_words(parent.name))
    own = _singular(_words(child.name))
    if own <= words and not own < named <= words:
        return 0  # the child's own id: InvoiceLineId does not point at Invoice
    is_bare = words == named and target is not None and target.kind is Kind.INTEGER
    if named <= words and (_KEY_WORDS & (words - named) or is_bare):
        return 1 + len(named)
    return int(column.name == key.name and len(words) > 1)


def _words(name: str) -> list[str]:
    return [w.lower() for w in _WORD.findall(name)]


def _singular(words: list[str]) -> set[str]:
    """``tickets`` -> ``ticket``, ``policies`` -> ``policy``; the last word carries the number."""
    if not words:
        return {""}
    last = words[-1]
    if last.endswith("ies"):
        last = last[:-3] + "y"
    elif last.endswith("s") and not last.endswith("ss"):
        last = last[:-1]
    return {*words[:-1], last}


def _spellings(schema: Schema) -> dict[str, tuple[str, str]]:
    """``table.column`` and ``table."column"`` of every column; of two that read alike, the longer table name wins."""
    tables = sorted(schema.tables, key=lambda t: len(t.name))
    plain = {f"{t.name}.{c.name}": (t.name, c.name) for t in tables for c in t.columns}
    return {f'{t.name}."{c.name}"': (t.name, c.name) for t in tables for c in t.columns} | plain


def _known(text: str, names: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    if text in names:
        return names[text]
    near = difflib.get_close_matches(text, names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"load.relations: there is no column {text!r}{hint}", next_step="correct load.relations")
