"""Grafana's data frames, as ``/api/ds/query`` returns them, read into one answer.

https://grafana.com/docs/grafana/latest/developers/http_api/data_source/#query-a-data-source
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sdetl_engine.grafana.answers import Answer, ColumnKind, Row, kept
from sdetl_engine.grafana.said import without_values

_KINDS = {"number": ColumnKind.NUMBER, "time": ColumnKind.TIME, "boolean": ColumnKind.BOOLEAN}


class NotFrames(Exception):
    """What came is not what Grafana documents; the text says in which way."""


def read_answer(document: object, ref: str, keep_rows: int, milliseconds: float) -> Answer:
    """The answer to the query ``ref``; the first ``keep_rows`` rows are kept.  Raises NotFrames."""
    result = _mapping(_mapping(document).get("results")).get(ref)
    if not isinstance(result, Mapping):
        raise NotFrames("it holds no result of the query")
    if result.get("error"):
        return Answer(False, milliseconds=milliseconds, error=without_values(str(result["error"])))
    frames = result.get("frames", [])
    if not isinstance(frames, list):
        raise NotFrames("its frames are no list")
    tables = [_frame(frame) for frame in frames]
    names = tuple(dict.fromkeys(name for fields, _ in tables for name, _ in fields))
    kinds = dict(field for fields, _ in reversed(tables) for field in fields)
    rows = [row for fields, columns in tables for row in _rows(fields, columns, names)] if keep_rows else []
    return Answer(
        ok=True,
        rows=sum(len(columns[0]) if columns else 0 for _, columns in tables),
        columns=names,
        kinds=tuple(kinds[name] for name in names),
        values=tuple(rows[:keep_rows]),
        milliseconds=milliseconds,
    )


def _frame(frame: object) -> tuple[list[tuple[str, ColumnKind]], list[Sequence[Any]]]:
    """Names and kinds of the fields, and their columns of values."""
    schema, data = (_mapping(_mapping(frame).get(key)) for key in ("schema", "data"))
    fields, columns = schema.get("fields") or [], data.get("values") or []
    if not isinstance(fields, list) or not isinstance(columns, list):
        raise NotFrames("a frame's fields or values are no list")
    if not columns:
        columns = [[] for _ in fields]
    if len(columns) != len(fields) or len({len(c) if isinstance(c, list) else -1 for c in columns}) > 1:
        raise NotFrames("a frame's fields and values do not match")
    return [_field(_mapping(field)) for field in fields], columns


def _field(field: Mapping[str, Any]) -> tuple[str, ColumnKind]:
    """Series of one name are told apart by their labels."""
    labels = ", ".join(f"{key}={value}" for key, value in sorted(_mapping(field.get("labels")).items()))
    name = str(field.get("name") or "") + (f" {{{labels}}}" if labels else "")
    return name, _KINDS.get(str(field.get("type")), ColumnKind.TEXT)


def _rows(fields: list[tuple[str, ColumnKind]], columns: list[Sequence[Any]], names: Sequence[str]) -> list[Row]:
    by_name = {name: column for (name, _), column in zip(fields, columns, strict=True)}
    empty: Sequence[Any] = [None] * (len(columns[0]) if columns else 0)
    return [tuple(map(kept, row)) for row in zip(*(by_name.get(name, empty) for name in names), strict=True)]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
