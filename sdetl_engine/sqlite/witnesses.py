"""Finding the rows that show what the scan has counted: the first few of each kind, by rowid."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from sdetl_engine.profiling.facts import Witness
from sdetl_engine.sqlite.column import DATE_WITNESSES, ColumnScan
from sdetl_engine.sqlite.fits import fits_sql
from sdetl_engine.sqlite.ranges import Rows
from sdetl_engine.sqlite.tally import cut
from sdetl_engine.values.types import Kind

_SHOWN_BYTES = 800


class WitnessSearch:
    """Looks rows up over one connection.  ``marks``: the parameters that the questions' SQL names."""

    def __init__(self, connection: sqlite3.Connection, rows: Rows, codec: str, marks: Mapping[str, str]) -> None:
        self._connection, self._rows, self._codec, self._marks = connection, rows, codec, marks

    def of_column(self, scan: ColumnScan) -> dict[str, tuple[Witness, ...]]:
        """Witnesses of everything that the column has to show, by the name of the question."""
        if scan.dates is not None:
            return self._of_dates(scan)
        if not scan.misfits:
            return {}
        value = scan.question.value
        return {"misfit": self._find(scan, "misfit", scan.misfits, f"{value} <> '' AND NOT ({self._fits(scan)})")}

    def _fits(self, scan: ColumnScan) -> str:
        value = scan.question.value
        if scan.question.kind is not Kind.BOOLEAN:
            return fits_sql(scan.question.kind, value)
        words = ", ".join(f"'{word}'" for word in scan.truth_pair[0].split())
        return f"typeof({value}) IN ('integer', 'text') AND CAST({value} AS TEXT) COLLATE NOCASE IN ({words})"

    def _of_dates(self, scan: ColumnScan) -> dict[str, tuple[Witness, ...]]:
        question = scan.question
        found: dict[str, tuple[Witness, ...]] = {}
        text = f"typeof({question.value}) = 'text' AND {question.value} <> '' AND NOT ifnull({question.iso}, 0)"
        for name in DATE_WITNESSES:
            count = scan.date_count(name)
            if count:
                self._register(scan, name)
                condition = f"{text} AND sdetl_is_witness(CAST({question.value} AS BLOB))"
                found[name] = self._find(scan, name, count, condition)
        strangers = scan.misfits - scan.date_count("unreadable")
        if scan.misfits:
            condition = f"typeof({question.value}) IN ('integer', 'real', 'blob')"
            others = self._find(scan, "misfit", strangers, condition) if strangers else ()
            both = sorted([*others, *found.get("unreadable", ())], key=lambda witness: witness.rowid or 0)
            found["misfit"] = tuple(both[: scan.hits["misfit"].wanted])
        return found

    def _register(self, scan: ColumnScan, name: str) -> None:
        def is_witness(raw: bytes) -> bool:
            return name in scan.date_questions_of(raw.decode(self._codec, "replace"))

        self._connection.create_function("sdetl_is_witness", 1, is_witness)

    def _find(self, scan: ColumnScan, name: str, count: int, condition: str) -> tuple[Witness, ...]:
        """The first rows for which the condition holds, at most as many as are wanted."""
        wanted = min(scan.hits[name].wanted, count)
        places = [(low, high) for low, high, _ in scan.hits[name].places]
        if sum(seen for _, _, seen in scan.hits[name].places) < wanted:
            # Columns of few values are judged at the end, when the chunks are forgotten.
            places = [(self._rows.low or 0, self._rows.high or 0)]
        found: list[Witness] = []
        for low, high in places:
            if len(found) < wanted:
                found += self._search(scan.question.value, condition, low, high, wanted - len(found))
        return tuple(found)

    def _search(self, value: str, condition: str, low: int, high: int, limit: int) -> list[Witness]:
        rowid = self._rows.rowid
        query = (
            f"SELECT {rowid}, typeof({value}), CASE WHEN typeof({value}) IN ('text', 'blob')"
            f" THEN substr(CAST({value} AS BLOB), 1, {_SHOWN_BYTES}) ELSE {value} END"
            f" FROM {self._rows.table} WHERE {rowid} BETWEEN :low AND :high AND {condition}"
            f" ORDER BY {rowid} LIMIT {limit}"
        )
        rows = self._connection.execute(query, {"low": low, "high": high, **self._marks})
        return [Witness(None if self._rows.is_copy else key, self._shown(kind, raw)) for key, kind, raw in rows]

    def _shown(self, kind: str, raw: object) -> str:
        if not isinstance(raw, bytes):
            return str(raw)
        return cut(f"x'{raw.hex()}'") if kind == "blob" else cut(raw.decode(self._codec, "backslashreplace"))
