"""Proof of load: the table is read back as PostgreSQL holds it, and its bytes are those that were sent.

The digests are equal only when the rows come back in the order they went in: the table was created in the same
transaction, and ``synchronize_seqscans`` is off.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine.events import Reporter
from sdetl_engine.postgres.connect import statement_error
from sdetl_engine.postgres.plan import TablePlan
from sdetl_engine.postgres.rows.load import Sent, copy_target

_PERHAPS_LAST = frozenset({2, 21})
"""Bytes of the last message of a binary COPY: the trailer, behind the header when there are no rows.  What follows it
is for psycopg to read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """Rows and SHA-256 of the COPY stream on both sides.  Of a partitioned table, the digest of its parts' digests."""

    rows_sent: int
    rows_held: int
    sha256_sent: str
    sha256_held: str

    @property
    def equal(self) -> bool:
        """True when PostgreSQL holds, bit for bit, what left SQLite."""
        return (self.rows_sent, self.sha256_sent) == (self.rows_held, self.sha256_held)


def prove_table(
    connection: psycopg.Connection[Any], schema: str, plan: TablePlan, sent: Sequence[Sent], *, reporter: Reporter
) -> Proof:
    """Read the table back, in the transaction that loaded it.  Raises TargetError, Cancelled."""
    try:
        connection.execute("SET LOCAL synchronize_seqscans = off")
        held = [_read_back(connection, schema, plan, part, reporter) for part in sent]
    except psycopg.Error as error:
        reporter.check()
        raise statement_error(error, f"reading table {plan.name} back") from None
    return Proof(
        sum(s.rows for s in sent),
        sum(rows for rows, _ in held),
        _together([s.sha256 for s in sent]),
        _together([digest for _, digest in held]),
    )


def _read_back(
    connection: psycopg.Connection[Any], schema: str, plan: TablePlan, part: Sent, reporter: Reporter
) -> tuple[int, str]:
    target = copy_target(schema, part.part.table, plan.loaded_columns)
    digest = hashlib.sha256()
    with connection.cursor() as cursor:
        with cursor.copy(sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(target)) as copy:
            arrived = connection.pgconn.get_copy_data
            while block := copy.read():
                digest.update(block)
                # What has arrived with it is taken straight from libpq: waiting for each row costs more than its hash.
                while len(block) not in _PERHAPS_LAST:
                    size, block = arrived(1)
                    if size <= 0:
                        break
                    digest.update(block)
                reporter.check()
        return cursor.rowcount, digest.hexdigest()


def _together(digests: Sequence[str]) -> str:
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
