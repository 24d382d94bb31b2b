"""A run with a Grafana beside it: read, asked before and after the switch, never written, never in the way."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sdetl_engine import CutoverResult, Stage, Verdict
from sdetl_tui.blocks import Facts, Table
from sdetl_tui.glyphs import UNICODE
from sdetl_tui.text import written
from sdetl_tui.views import cutover, validate
from sdetl_tui.views.look import Look
from tests.conftest import make_sqlite
from tests.grafana.stub import TOKEN, Fault, Grafana, grafana
from tests.migrating import TICKETS, Ended, migrate

COUNT = "SELECT count(*) FROM servicedesk.tickets"


@pytest.fixture
def known(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Grafana]:
    monkeypatch.setenv("SDETL_GRAFANA_TOKEN", TOKEN)
    with grafana(database) as server:
        yield server


def run(known: Grafana, tmp_path: Path, change: str = "", **more: Any) -> Ended:
    """One quarter's run; each is another file."""
    source = make_sqlite(tmp_path / f"{len(list(tmp_path.iterdir()))}.db", TICKETS + change)
    settings = (f"grafana.url={known.url}", "grafana.timeout_seconds=5", *more.pop("settings", ()))
    return migrate(source, known.conninfo, tmp_path / "w", settings=settings, skip_canary=True, **more)


def messages(ended: Ended, rule: str) -> list[str]:
    return [f["message"] for f in ended.document["findings"] if f["rule"] == rule]


def files(folder: Path) -> str:
    return "".join(
        p.read_text(errors="replace") for p in folder.rglob("*") if p.suffix in (".json", ".jsonl", ".html", ".toml")
    )


def test_the_servers_dashboards_are_tried_and_asked_before_and_after(known: Grafana, tmp_path: Path) -> None:
    known.add("a", COUNT, "SELECT id, created AS time FROM servicedesk.tickets WHERE created IS NOT NULL")
    first = run(known, tmp_path)
    assert first.document["outcome"] == "live"
    assert first.document["dashboards"][0] | {"slowest_ms": 0} == {
        "title": "Desk a",
        "panels": 2,
        "passed": 2,
        "failed": [],
        "slowest_ms": 0,
    }
    seen = first.document["grafana"]
    assert (seen["version"], seen["datasource"]["is_provisioned"], seen["datasource"]["health"]) == (
        "10.4.2",
        True,
        "passed",
    )
    assert seen["before"]["panels"] == []
    assert (seen["after"]["passed"], seen["after"]["failed"], seen["after"]["unknown"]) == (2, 0, 0)
    second = run(known, tmp_path, "DELETE FROM tickets WHERE id = 7;")
    after = second.document["grafana"]["after"]["panels"]
    assert [p["compared"] for p in after] == ["changed", "changed"]
    assert not {r for r in second.rules if r.startswith("GRAFANA")}
    look = Look(second.runner.deployment, second.runner.records, UNICODE)
    shown = "\n".join(
        written(text) for block in cutover.blocks(look) if isinstance(block, Facts) for _, text in block.rows
    )
    assert "ServiceDesk PostgreSQL: database" in shown
    assert "2 passed" in shown
    assert [b.name for b in cutover.blocks(look) if isinstance(b, Table)] == ["post-checks", "grafana"]
    assert validate.blocks(look)
    report = Path(second.document["report"]).read_text(encoding="utf-8")
    assert "After the switch" in report
    assert {method for method, path in known.requests if path != "/api/ds/query"} == {"GET"}


def test_the_token_is_nowhere(known: Grafana, tmp_path: Path) -> None:
    known.add("a", COUNT)
    ended = run(known, tmp_path)
    assert known.url in files(tmp_path / "w")
    assert TOKEN not in files(tmp_path / "w") + str(ended.document)


def after_two_switches(known: Grafana, statement: str) -> None:
    """Let something happen to the database when Grafana is asked for the first time after the second switch."""

    def happens() -> None:
        with psycopg.connect(known.conninfo, autocommit=True) as connection:
            row = connection.execute("SELECT count(*) FROM sdetl.deployments").fetchone()
            if row == (2,):
                connection.execute(statement)

    known.on_query = happens


def test_panels_that_get_worse_in_grafana_with_the_switch_are_named_with_the_way_back(
    known: Grafana, tmp_path: Path
) -> None:
    with psycopg.connect(known.conninfo) as connection:
        connection.execute("CREATE TABLE public.note AS SELECT 1 AS n")
        connection.execute("CREATE TABLE public.news AS SELECT 1 AS n")
    known.add("a", COUNT, "SELECT n FROM public.note", "SELECT n FROM public.news", "SELECT never")
    known.dashboards["a"]["dashboard"]["panels"][3]["targets"][0]["hide"] = True
    run(known, tmp_path)
    after_two_switches(known, "DROP TABLE IF EXISTS public.note; DELETE FROM public.news")
    second = run(known, tmp_path)
    assert second.document["outcome"] == "live"
    broken, emptied = messages(second, "GRAFANA-PANEL")
    assert broken.startswith(
        "since the switch, panel 'panel 2' of 'Desk a' fails through Grafana: db query error: pq: rel"
    )
    assert (
        emptied == "since the switch, panel 'panel 3' of 'Desk a' has nothing to show through Grafana instead of 1 row"
    )
    advice = [f["advice"] for f in second.document["findings"] if f["rule"] == "GRAFANA-PANEL"]
    assert all(f"to go back: {second.document['cutover']['rollback_command']}" in text for text in advice)
    checks = {c.name: c for c in second.runner.deployment.results.load(Stage.CUTOVER, CutoverResult).post_checks}
    assert (checks["panels through Grafana"].verdict, checks["panels through Grafana"].measured) == (
        Verdict.WARNING,
        "2 of 3 answer, 2 got worse",
    )


def troubled(database: str, folder: Path) -> set[str]:
    """The codes of a second quarter's run beside a Grafana that is in every kind of trouble."""
    with grafana(database) as known, pytest.MonkeyPatch.context() as patched:
        patched.setenv("SDETL_GRAFANA_TOKEN", TOKEN)
        with psycopg.connect(database) as connection:
            connection.execute("CREATE TABLE public.note AS SELECT 1 AS n")
        known.sources[0]["jsonData"] = {"database": "elsewhere"}
        known.add("a", "SELECT n FROM public.note", "SELECT 1 / length(current_setting('application_name'))")
        known.dashboards["gone"] = {"dashboard": {"title": "Gone", "tags": []}, "meta": {"folderUid": ""}}
        run(known, folder)
        after_two_switches(known, "DROP TABLE IF EXISTS public.note")
        return run(known, folder).rules


def test_a_panel_that_failed_before_is_no_news(known: Grafana, tmp_path: Path) -> None:
    known.add("a", COUNT)
    run(known, tmp_path)
    known.faults["/api/ds/query"] = Fault(400, '{"results": {"A": {"error": "no such role", "status": 400}}}')
    second = run(known, tmp_path)
    assert (second.document["outcome"], messages(second, "GRAFANA-PANEL")) == ("live", [])
    (failing,) = messages(second, "GRAFANA-FAILING")
    assert failing.startswith("1 of 1 panel queries fail in Grafana already, on the version that is live")
    assert failing.endswith("the first is 'panel 1' of 'Desk a': no such role")
    assert (
        second.runner.deployment.results.load(Stage.CUTOVER, CutoverResult).post_checks[-1].verdict is Verdict.WARNING
    )
    assert second.document["grafana"]["after"]["failed"] == 1


@pytest.mark.parametrize(
    ("path", "fault", "said"),
    [
        ("/api/health", Fault(500), "it answers 500: it is broken"),
        ("/api/health", Fault(200, "<html>", "text/html"), "it answers with something else than JSON"),
        (
            "/api/datasources",
            Fault(200, "{}"),
            "its data sources cannot be listed: its list of data sources is no list",
        ),
        ("/api/ds/query", Fault(500), "1 of 1 panel was not asked: it answers 500: it is broken"),
        ("/api/ds/query", Fault(seconds=1), "1 of 1 panel was not asked: it did not answer within 0.4 s"),
    ],
)
def test_whatever_is_wrong_with_grafana_the_cutover_is_made_and_says_so(
    known: Grafana, tmp_path: Path, path: str, fault: Fault, said: str
) -> None:
    known.add("a", COUNT)
    known.faults[path] = fault
    settings = ("grafana.timeout_seconds=0.4",) if fault.seconds else ()
    ended = run(known, tmp_path, settings=settings)
    assert (ended.outcome.exit_code, ended.document["outcome"]) == (0, "live")
    assert any(said in message for message in messages(ended, "GRAFANA-UNKNOWN"))
    check = ended.runner.deployment.results.load(Stage.CUTOVER, CutoverResult).post_checks[-1]
    assert (check.name, check.verdict) == ("panels through Grafana", Verdict.UNKNOWN)


def test_a_refused_token_and_a_missing_one(known: Grafana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known.add("a", COUNT)
    monkeypatch.setenv("SDETL_GRAFANA_TOKEN", "glsa_wrong")
    ended = run(known, tmp_path)
    assert ended.document["outcome"] == "live"
    assert "Grafana could not be asked: the token is refused (401)" in messages(ended, "GRAFANA-UNKNOWN")
    monkeypatch.delenv("SDETL_GRAFANA_TOKEN")
    monkeypatch.delenv("GRAFANA_TOKEN", raising=False)
    ended = run(known, tmp_path, until=Stage.VALIDATE)
    assert messages(ended, "GRAFANA-UNKNOWN") == [
        "Grafana could not be asked: there is no token for it: set SDETL_GRAFANA_TOKEN"
    ]


def test_a_data_source_that_is_not_the_targets(known: Grafana, tmp_path: Path) -> None:
    known.add("a", COUNT)
    known.sources[0]["jsonData"] = {"database": "elsewhere"}
    known.faults["/api/datasources/uid/pg1/health"] = Fault(
        400, '{"status": "ERROR", "message": "no pg_hba.conf entry"}'
    )
    ended = run(known, tmp_path, until=Stage.VALIDATE)
    found = messages(ended, "GRAFANA-DATASOURCE")
    assert found[0] == "Grafana says of its data source 'ServiceDesk PostgreSQL': no pg_hba.conf entry"
    assert found[1].startswith("data source 'ServiceDesk PostgreSQL' reads database 'elsewhere', the target is")
    known.add_source("pg2", "Second")
    ended = run(known, tmp_path, until=Stage.VALIDATE)
    (message,) = messages(ended, "GRAFANA-UNKNOWN")
    assert message.endswith("data source is meant (ServiceDesk PostgreSQL, Second); set grafana.datasource")
    ended = run(known, tmp_path, until=Stage.VALIDATE, settings=("grafana.datasource=Second",))
    assert not messages(ended, "GRAFANA-UNKNOWN")


def test_a_token_that_may_only_look_at_dashboards(known: Grafana, tmp_path: Path) -> None:
    known.add("a", COUNT)
    known.faults["/api/datasources"] = Fault(403)
    ended = run(known, tmp_path, settings=("grafana.datasource=pg1",))
    assert ended.document["grafana"]["after"]["passed"] == 1
    assert "is_provisioned" not in ended.document["grafana"]["datasource"]


def test_a_dashboard_that_fails_on_the_candidate_stops_before_the_switch(known: Grafana, tmp_path: Path) -> None:
    known.add("a", "SELECT nothing FROM servicedesk.tickets")
    ended = run(known, tmp_path)
    assert (ended.outcome.exit_code, ended.status["validate"], ended.status["cutover"]) == (4, "failed", "pending")


def test_the_token_is_asked_for_on_a_terminal_and_never_shown(
    known: Grafana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SDETL_GRAFANA_TOKEN")
    monkeypatch.delenv("GRAFANA_TOKEN", raising=False)
    known.add("a", "SELECT 1")
    source = make_sqlite(tmp_path / "source.db", TICKETS)
    words = ["run", str(source), "--target", known.conninfo, "--workspace", str(tmp_path / "w"), "--grafana", known.url]
    words += ["--set", "health.start_free_bytes=0", "--skip-canary", "--until", "validate", "--yes", "--json"]
    terminal, other_end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "sdetl_tui", *words],
        stdin=other_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        assert child.stderr is not None
        asked = b""
        while not asked.endswith(b"without): ") and (letter := child.stderr.read(1)):
            asked += letter
        # What is typed before the question is thrown away.
        time.sleep(0.2)
        os.write(terminal, f"{TOKEN}\n".encode())
        told, said = child.communicate(timeout=60)
    os.close(other_end)
    os.close(terminal)
    document = json.loads(told)
    kept = json.loads(Path(document["report"]).with_suffix(".json").read_text())
    assert (document["exit_code"], kept["grafana"]["problems"]) == (0, [])
    assert b"Grafana token" in asked
    assert TOKEN.encode() not in told + said
    assert TOKEN not in files(tmp_path / "w")
