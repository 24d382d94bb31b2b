"""A local server that speaks the part of Grafana's HTTP API that sdetl reads, and really asks PostgreSQL.

https://grafana.com/docs/grafana/latest/developers/http_api/: search, dashboards by uid, data sources, their health,
``/api/ds/query``.  ``faults`` answers chosen paths otherwise: with a status, a text, or after a while.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from sdetl_engine.grafana.macros import expand
from sdetl_engine.grafana.templating import Context

TOKEN = "glsa_ThisIsTheSecretOfTheTest_0815"
_NUMBERS = (20, 21, 23, 26, 700, 701, 1700)
_TIMES = (1082, 1114, 1184)


@dataclasses.dataclass
class Fault:
    """How a path answers instead of as documented."""

    status: int = 200
    body: str = '{"message": "it is broken"}'
    kind: str = "application/json"
    seconds: float = 0.0


@dataclasses.dataclass
class Grafana:
    """What the server knows, and what it was asked."""

    conninfo: str
    url: str = ""
    dashboards: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    sources: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    faults: dict[str, Fault] = dataclasses.field(default_factory=dict)
    requests: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    queries: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    on_query: Callable[[], None] = lambda: None
    """Called before each query: what happens to the database meanwhile."""

    def add(self, uid: str, *queries: str, tags: tuple[str, ...] = (), folder: str = "", **more: Any) -> None:
        """A dashboard that asks these queries, each in a panel of its own."""
        panels = [
            {"id": n, "type": "table", "title": f"panel {n}", "targets": [{"refId": "A", "rawSql": q}]}
            for n, q in enumerate(queries, start=1)
        ]
        model = {"uid": uid, "title": f"Desk {uid}", "tags": list(tags), "panels": panels, **more}
        self.dashboards[uid] = {"dashboard": model, "meta": {"folderUid": folder, "provisioned": True}}

    def add_source(self, uid: str, name: str = "ServiceDesk PostgreSQL", **more: Any) -> None:
        """A data source that reads the database of the test, provisioned from a file."""
        known = conninfo_to_dict(self.conninfo)
        source = {"id": len(self.sources) + 1, "uid": uid, "name": name, "type": "postgres", "access": "proxy"}
        self.sources.append(
            source
            | {"url": "db:5432", "user": "grafana", "readOnly": True, "jsonData": {"database": known["dbname"]}}
            | more
        )

    def count(self, path: str) -> int:
        """How often a path was asked."""
        return sum(asked.startswith(path) for _, asked in self.requests)


@contextlib.contextmanager
def grafana(conninfo: str) -> Iterator[Grafana]:
    """The server on a port of its own, for as long as the block lasts."""
    known = Grafana(conninfo)
    known.add_source("pg1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"grafana": known}))
    server.daemon_threads = True
    known.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    grafana: Grafana

    def log_message(self, format: str, *args: object) -> None:
        """Tests are quiet."""

    def do_GET(self) -> None:
        self._serve({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._serve(json.loads(body))

    def do_PUT(self) -> None:
        raise AssertionError("sdetl writes nothing")

    def do_PATCH(self) -> None:
        self.do_PUT()

    def do_DELETE(self) -> None:
        self.do_PUT()

    def _serve(self, body: dict[str, Any]) -> None:
        parts = urlsplit(self.path)
        self.grafana.requests.append((self.command, parts.path))
        fault = self.grafana.faults.get(parts.path)
        if fault is not None:
            time.sleep(fault.seconds)
            self._send(fault.status, fault.body, fault.kind)
        elif parts.path != "/api/health" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, json.dumps({"message": "Invalid API key"}))
        else:
            status, answer = self._answer(parts.path, parse_qs(parts.query), body)
            self._send(status, json.dumps(answer))

    def _answer(self, path: str, wanted: dict[str, list[str]], body: dict[str, Any]) -> tuple[int, Any]:
        known = self.grafana
        uid = path.rpartition("/")[2]
        if path == "/api/health":
            return 200, {"database": "ok", "version": "10.4.2", "commit": "abc"}
        if path == "/api/search":
            return 200, self._search(wanted)
        if path.startswith("/api/dashboards/uid/") and uid in known.dashboards:
            return 200, known.dashboards[uid]
        if path == "/api/datasources":
            return 200, known.sources
        if path.startswith("/api/datasources/uid/") and uid == "health":
            return 200, {"status": "OK", "message": "Database Connection OK"}
        if path == "/api/ds/query":
            return self._query(body)
        return 404, {"message": "Not found"}

    def _search(self, wanted: dict[str, list[str]]) -> list[dict[str, Any]]:
        if wanted["type"] == ["dash-folder"]:
            return [{"uid": "f1", "title": "ServiceDesk", "type": "dash-folder"}]
        found = []
        for uid, document in self.grafana.dashboards.items():
            tags, folder = document["dashboard"]["tags"], document["meta"]["folderUid"]
            if set(wanted.get("tag", tags)) <= set(tags) and folder in wanted.get("folderUIDs", [folder]):
                found.append({"uid": uid, "title": document["dashboard"]["title"], "type": "dash-db"})
        page, limit = int(wanted["page"][0]), int(wanted["limit"][0])
        return found[(page - 1) * limit : page * limit]

    def _query(self, body: dict[str, Any]) -> tuple[int, Any]:
        (query,) = body["queries"]
        self.grafana.queries.append(body)
        self.grafana.on_query()
        if query["datasource"]["uid"] not in {s["uid"] for s in self.grafana.sources}:
            return 404, {"message": "data source not found"}
        start, end = (datetime.fromtimestamp(int(body[key]) / 1000, UTC) for key in ("from", "to"))
        sql = expand(query["rawSql"], Context(start, end, 60))
        try:
            with psycopg.connect(self.grafana.conninfo) as connection:
                cursor = connection.execute(sql)
                columns = list(zip(*cursor.fetchall(), strict=True)) or [() for _ in cursor.description or ()]
                fields = [{"name": c.name, "type": _kind(c.type_code)} for c in cursor.description or ()]
        except psycopg.Error as error:
            said = f"db query error: pq: {error.diag.message_primary}"
            return 400, {"results": {"A": {"error": said, "status": 400, "frames": []}}}
        values = [[_value(v) for v in column] for column in columns]
        return 200, {
            "results": {
                query["refId"]: {
                    "status": 200,
                    "frames": [{"schema": {"refId": "A", "fields": fields}, "data": {"values": values}}],
                }
            }
        }

    def _send(self, status: int, body: str, kind: str = "application/json") -> None:
        data = body.encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)


def _kind(oid: int) -> str:
    return "number" if oid in _NUMBERS else "time" if oid in _TIMES else "boolean" if oid == 16 else "string"


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1000)
    if isinstance(value, Decimal):
        return float(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
