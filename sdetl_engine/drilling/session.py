"""Sessions of a drill's own runs: to the same server as the drill's, and with their connections within reach."""

from __future__ import annotations

import weakref
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from sdetl_engine.postgres.session import TargetSession


class WatchedSession(TargetSession):
    """Knows the connections that it opened, so that a fault can be put into the one that is loading."""

    is_rehearsing = True

    def __init__(self, like: TargetSession) -> None:
        super().__init__(like.target, like.workspace, like.settings)
        self._opened: list[weakref.ref[psycopg.Connection[Any]]] = []

    def connect(self) -> psycopg.Connection[Any]:
        """A connection, remembered for as long as it lives."""
        connection = super().connect()
        self._opened.append(weakref.ref(connection))
        return connection

    @property
    def at_work(self) -> psycopg.Connection[Any] | None:
        """The newest connection that is in the middle of a transaction; None when none is."""
        for reference in reversed(self._opened):
            connection: psycopg.Connection[Any] | None = reference()
            if connection is not None and connection.info.transaction_status is TransactionStatus.INTRANS:
                return connection
        return None
