"""Late writes as files: SQL that writes them again, exactly, and CSV for people.

The SQL is for psql, in one transaction; sdetl never runs it.  In the CSV a text that a spreadsheet would take for a
formula gets a ``'`` in front; NULL is an empty field, an empty text is ``""``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from sdetl_engine.files import private_folder, sync_folder
from sdetl_engine.postgres.names import quoted
from sdetl_engine.postgres.written import ChangeKind, Column, Sides

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class LateExport:
    """Files in a folder of their own, mode 0600.  Use as a context manager: leaving makes them durable."""

    def __init__(self, folder: Path, heading: str) -> None:
        self._folder = private_folder(folder)
        self.sql_path = folder / "writes.sql"
        self.csv_paths: list[Path] = []
        self._sql = _create(self.sql_path)
        self._csv: TextIO | None = None
        self._sql.write(
            f"-- {heading}\n-- For psql.  Every statement is one row that was written; nothing ran this.\nBEGIN;\n"
        )

    def __enter__(self) -> LateExport:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None:
            self._sql.write("COMMIT;\n")
        for file in (self._sql, self._csv):
            if file is not None:
                _finish(file)
        sync_folder(self._folder)

    def begin_table(self, sides: Sides) -> None:
        """Begin the CSV of a table.  Files are numbered: a table's name may be anything."""
        if self._csv is not None:
            _finish(self._csv)
        plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in sides.table)[:60]
        path = self._folder / f"{len(self.csv_paths) + 1:02d}_{plain}.csv"
        self.csv_paths.append(path)
        self._csv = _create(path)
        self._csv.write(",".join(["sdetl_change", *(_quoted(c.name) for c in sides.columns)]) + "\n")

    def add(self, sides: Sides, kind: ChangeKind, values: Sequence[str | None], literals: Sequence[str | None]) -> None:
        """One change."""
        assert self._csv is not None
        cells = [_cell(column, value) for column, value in zip(sides.columns, values, strict=True)]
        self._csv.write(",".join([str(kind), *cells]) + "\n")
        self._sql.write(_statement(sides, kind, [literal or "NULL" for literal in literals]))


def _statement(sides: Sides, kind: ChangeKind, literals: Sequence[str]) -> str:
    table = quoted(sides.live, sides.table)
    names = [quoted(column.name) for column in sides.columns]
    pairs = dict(zip((c.name for c in sides.columns), literals, strict=True))
    key = " AND ".join(f"{quoted(name)} = {pairs[name]}" for name in sides.key)
    if kind is ChangeKind.DELETED and key:
        return f"DELETE FROM {table} WHERE {key};\n"
    if kind is ChangeKind.DELETED:
        same = " AND ".join(f"{name} IS NOT DISTINCT FROM {value}" for name, value in zip(names, literals, strict=True))
        return f"DELETE FROM {table} WHERE ctid = (SELECT ctid FROM {table} WHERE {same} LIMIT 1);\n"
    if kind is ChangeKind.CHANGED:
        settings = ", ".join(f"{quoted(n)} = {v}" for n, v in pairs.items() if n not in sides.key)
        return f"UPDATE {table} SET {settings} WHERE {key};\n"
    insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(literals)})"
    if kind is ChangeKind.WRITTEN and sides.key:
        others = [n for n in pairs if n not in sides.key]
        settings = ", ".join(f"{quoted(n)} = EXCLUDED.{quoted(n)}" for n in others)
        action = f"UPDATE SET {settings}" if others else "NOTHING"
        insert += f" ON CONFLICT ({', '.join(quoted(n) for n in sides.key)}) DO {action}"
    return insert + ";\n"


def _cell(column: Column, value: str | None) -> str:
    if value is None:
        return ""
    return _quoted("'" + value if column.is_text and value.startswith(_FORMULA) else value)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _create(path: Path) -> TextIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")


def _finish(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
