"""Rows as PostgreSQL's binary COPY carries them, made by what psycopg's own COPY makes them with.

psycopg offers that only together with a connection (``Copy.write_row``); rows are also encoded in processes that have
none.  ``format_row_binary`` is not part of its public face; should it ever make other bytes, PostgreSQL refuses them or
the proof of load fails.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import abc, pq
from psycopg._copy_base import format_row_binary
from psycopg.adapt import AdaptersMap, PyFormat, Transformer

from sdetl_engine.sqlite.shape import ColumnShape

Row = Sequence[object]


class Unshapeable(Exception):
    """A value has no form on the wire: what was measured of its column is not true of it.

    ``place``: of its column, None when psycopg could not say; ``number``: of its row in the block, from 0.
    """

    def __init__(self, place: int | None, number: int) -> None:
        super().__init__(place, number)
        self.place, self.number = place, number


class RowEncoder:
    """Encodes rows of a SELECT of ``shapes``; what stands behind those columns in a row is left out."""

    def __init__(self, shapes: Sequence[ColumnShape]) -> None:
        self._width = len(shapes)
        self._converts = [(place, s.convert) for place, s in enumerate(shapes) if s.convert is not None]
        self._transformer = _transformer(shapes)

    def encode(self, rows: Sequence[Row]) -> bytearray:
        """The bytes of all rows, one behind the other.  Raises Unshapeable, which holds nothing of the value."""
        block = bytearray()
        transformer = self._transformer
        if rows and (self._converts or len(rows[0]) > self._width):
            rows = [self._converted(row, number) for number, row in enumerate(rows)]
        number = 0
        try:
            for number, row in enumerate(rows):  # noqa: B007 - the exception names the row
                format_row_binary(row, transformer, block)
        except (ValueError, TypeError, ArithmeticError, AssertionError, psycopg.Error):
            raise Unshapeable(None, number) from None
        return block

    def _converted(self, row: Row, number: int) -> Row:
        values = list(row[: self._width])
        for place, convert in self._converts:
            if values[place] is not None:
                try:
                    values[place] = convert(values[place])
                except (ValueError, TypeError, ArithmeticError, AssertionError):
                    # Their texts may quote the value.
                    raise Unshapeable(place, number) from None
        return values


@dataclasses.dataclass(frozen=True, slots=True)
class _Apart:
    """What psycopg asks for the ways to write values, away from any connection."""

    adapters: AdaptersMap
    connection: None = None


def _transformer(shapes: Sequence[ColumnShape]) -> abc.Transformer:
    adapters = AdaptersMap(psycopg.adapters)
    # Bytes as they are: what psycopg has for ``bytea`` also takes DB-API's ``Binary``, at the price of a Python call
    # per value.
    adapters.register_dumper(bytes, adapters.get_dumper(bytes, PyFormat.BINARY))
    transformer: Any = Transformer(_Apart(adapters))
    transformer.set_dumper_types([adapters.types.get_oid(shape.wire.value) for shape in shapes], pq.Format.BINARY)
    return transformer  # type: ignore[no-any-return]
