"""Relations between tables: as the plan writes them, and as names and values give them away."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator

from sdetl_engine.errors import UsageError
from sdetl_engine.values.declared import declared_target
from sdetl_engine.values.schema import Column, Relation, Schema, Table
from sdetl_engine.values.types import Kind

Overlap = Callable[[str, str, str, str], float]
"""``overlap(child, column, parent, key)``: share of sampled child values that are found in the parent's key."""

_ENOUGH = 0.03
"""Ticket systems export a window: nine in ten timesheets may point at tickets that are not in the file."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_KEY_WORDS = frozenset({"id", "code", "key", "no", "nr", "number", "ref", "fk"})


def parse(text: str, schema: Schema) -> Relation:
    """Read ``child.column -> parent.column``; names may hold dots and blanks.  Raises UsageError."""
    left, arrow, right = text.partition("->")
    if not arrow:
        raise UsageError(
            f"{text!r} is not of the form child.column -> parent.column", next_step="correct load.relations"
        )
    child, parent = _column(left.strip(), schema), _column(right.strip(), schema)
    return Relation(child[0], (child[1],), parent[0], (parent[1],), "plan")


def infer(schema: Schema, overlap: Overlap) -> tuple[Relation, ...]:
    """Relations that nobody declared: a column named after another table (or after its key), whose values are there.

    A child column points at one parent at most, the one that most of its values are found in.
    """
    best: dict[tuple[str, str], tuple[float, Relation]] = {}
    for child, column, parent, key in _candidates(schema):
        share = overlap(child.name, column.name, parent.name, key.name)
        known = best.get((child.name, column.name))
        if share >= _ENOUGH and (known is None or share > known[0]):
            relation = Relation(child.name, (column.name,), parent.name, (key.name,), "inferred")
            best[child.name, column.name] = (share, relation)
    return tuple(relation for _, relation in best.values())


def _candidates(schema: Schema) -> Iterator[tuple[Table, Column, Table, Column]]:
    for parent in schema.tables:
        for key in _keys(parent):
            for child in schema.tables:
                if child is parent:
                    continue
                declared = {c for k in child.foreign_keys for c in k.columns}
                for column in child.columns:
                    if column.name not in declared and _is_named_after(column, parent, key, child):
                        yield child, column, parent, key


def _keys(table: Table) -> list[Column]:
    """Columns that identify a row: the primary key, or the first column when its name says id."""
    if len(table.primary_key) == 1:
        return [table.column(table.primary_key[0])]
    if table.primary_key or not table.columns:
        return []
    first = table.columns[0]
    return [first] if "id" in _words(first.name) else []


def _is_named_after(column: Column, parent: Table, key: Column, child: Table) -> bool:
    target = declared_target(column.declared)
    if target is not None and target.kind not in (Kind.INTEGER, Kind.TEXT, Kind.DOUBLE, Kind.NUMERIC):
        return False
    words = _words(column.name)
    singular = _singular(_words(parent.name))
    says_parent = singular <= set(words) and bool(_KEY_WORDS & set(words))
    same_name = column.name == key.name and column.name.lower() not in ("id", "name") and len(words) > 1
    if same_name and column is child.columns[0] and _singular(_words(child.name)) <= set(words):
        return False
    return says_parent or same_name


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


def _column(text: str, schema: Schema) -> tuple[str, str]:
    names = {f"{t.name}.{c.name}": (t.name, c.name) for t in schema.tables for c in t.columns}
    if text in names:
        return names[text]
    near = difflib.get_close_matches(text, names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"load.relations: there is no column {text!r}{hint}", next_step="correct load.relations")
