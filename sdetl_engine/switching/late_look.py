"""A quick look at whether the live version is as it was loaded: rows counted by the transactions that wrote them.

One pass over each table, nothing but counts.  What exactly was written is found out before a rollback (``late_writes``).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import psycopg

from sdetl_engine.postgres import registry
from sdetl_engine.postgres.place import place_of_live
from sdetl_engine.postgres.written import Mark, marks, touched
from sdetl_engine.switching.late import LateTable, LateWrites

BY_TRANSACTION = "by the transactions that wrote the rows; the cleaned copy of the run that loaded it is not here"


def look_for_late_writes(connection: psycopg.Connection[Any], serving_schema: str) -> LateWrites | None:
    """What is not as it was loaded in the version that is live; None where no version is live."""
    live = registry.live_version(connection, serving_schema) if registry.exists(connection) else None
    if live is None:
        return None
    result = LateWrites(live.version, serving_schema, live.live_since, (), 0, BY_TRANSACTION)
    if live.load_xid is None or live.table_rows is None:
        return dataclasses.replace(result, unknown="sdetl did not load it, so nobody knows what was in it")
    place = place_of_live(connection, serving_schema, live.version) or serving_schema
    found = marks(connection, place, live.load_xid)
    return dataclasses.replace(
        result,
        tables=tuple(_late(live, table, found.get(table)) for table in touched(live, found)),
        checked_tables=len({*found, *live.table_rows}),
        marks=found,
    )


def _late(live: registry.Version, table: str, mark: Mark | None) -> LateTable:
    loaded = (live.table_rows or {}).get(table)
    if mark is None:
        rows = loaded or 0
        return LateTable(table, 0, rows, 0, 0, rows, note="the table is gone")
    if loaded is None:
        return LateTable(table, mark.rows, 0, note="the table was made since; it is not exported")
    return LateTable(table, mark.later, max(0, loaded - (mark.rows - mark.later)))
