"""Sources for whoever sits at the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import make_sqlite

# Enough rows for a stage to be caught at work.
_LONG = """
CREATE TABLE events (id INTEGER PRIMARY KEY, at TIMESTAMP, kind TEXT, body TEXT, amount REAL);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)
INSERT INTO events SELECT i, printf('2025-%02d-%02d %02d:15:00', 1 + i % 12, 1 + i % 28, i % 24), 'kind ' || (i % 9),
  'something happened, number ' || i, i / 8.0 FROM n;
"""


@pytest.fixture(scope="session")
def long_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source whose stages last long enough to be interrupted.  Nobody writes to it."""
    return make_sqlite(tmp_path_factory.mktemp("long") / "events.db", _LONG)
