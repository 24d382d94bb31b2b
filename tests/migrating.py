"""Running sdetl in tests as an operator would: a source, a target, a workspace, and what came of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sdetl_engine import Outcome, Runner, Stage, Workspace, load_settings, run_document, start_run

TICKETS = """
CREATE TABLE tickets (id INTEGER PRIMARY KEY, title TEXT NOT NULL, created TEXT, closed TIMESTAMP, code TEXT, hours REAL);
CREATE TABLE comments (id INTEGER PRIMARY KEY, ticket_id INTEGER REFERENCES tickets (id), body TEXT);
CREATE INDEX comments_by_ticket ON comments (ticket_id);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
INSERT INTO tickets SELECT i, 'Ticket [' || i || ']', CASE WHEN i % 50 = 0 THEN printf('%d/3/2025 9:%02d', 13 + i % 15, i % 60)
  ELSE printf('2025-%02d-%02d %02d:15:00', 1 + i % 12, 1 + i % 28, i % 24) END,
  CASE WHEN i % 7 = 0 THEN '' WHEN i % 5 = 0 THEN NULL ELSE printf('2025-12-%02d 17:00:00', 1 + i % 28) END,
  printf('%05d', i), i / 4.0 FROM n;
INSERT INTO comments SELECT id * 10, id, 'seen' FROM tickets;
INSERT INTO comments SELECT id * 10 + 1, id, 'done' FROM tickets WHERE id % 3 = 0;
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """A run that ended: its outcome, and the document that ``--json`` would print."""

    runner: Runner
    outcome: Outcome
    document: dict[str, Any]

    @property
    def status(self) -> dict[str, str]:
        """Status by stage."""
        return {s["name"]: s["status"] for s in self.document["stages"]}

    def summary(self, stage: str) -> dict[str, Any]:
        """What a stage says of itself."""
        found: dict[str, Any] = next(s["summary"] for s in self.document["stages"] if s["name"] == stage)
        return found

    @property
    def rules(self) -> set[str]:
        """The codes of all findings."""
        return {f["rule"] for f in self.document["findings"]}


def migrate(
    source: Path,
    target: str | None,
    workspace: Path,
    *,
    until: Stage = Stage.REPORT,
    agreed: bool = True,
    settings: tuple[str, ...] = (),
    markers: tuple[str, ...] = (),
    dashboards: Path | None = None,
    skip_canary: bool = False,
) -> Ended:
    """One run from the start."""
    extra: dict[str, Any] = {"clean.null_markers": list(markers)} if markers else {}
    if dashboards is not None:
        extra["dashboards.directory"] = str(dashboards)
    chosen = load_settings(assignments=("health.start_free_bytes=0", "health.min_free_bytes=0", *settings), extra=extra)
    return finish(
        start_run(Workspace(workspace), source, target, chosen, skip_canary=skip_canary), until, agreed=agreed
    )


def finish(runner: Runner, until: Stage = Stage.REPORT, *, agreed: bool = True) -> Ended:
    """Run what a runner has left to do."""
    with runner.deployment as deployment:
        deployment.agreed = agreed
        outcome = runner.run(until)
        return Ended(runner, outcome, json.loads(json.dumps(run_document(deployment, runner.records, outcome))))


def rows_of(conninfo: str, table: str, schema: str = "servicedesk") -> int:
    """Rows as a reader of that schema counts them."""
    with psycopg.connect(conninfo) as connection:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
        row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def schemas_of(conninfo: str) -> set[str]:
    """Schemas that are not PostgreSQL's own."""
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'")
        return {name for (name,) in rows} - {"public"}


def dashboard(folder: Path, *queries: str) -> Path:
    """A folder with one dashboard that asks these queries."""
    folder.mkdir(exist_ok=True)
    panels = [
        {"id": n, "type": "table", "title": f"panel {n}", "targets": [{"refId": "A", "rawSql": q}]}
        for n, q in enumerate(queries, start=1)
    ]
    (folder / "dashboard.json").write_text(json.dumps({"title": "Desk", "panels": panels}), encoding="utf-8")
    return folder
