from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sdetl_engine.demo import demo_dashboards
from sdetl_engine.errors import UsageError
from sdetl_engine.grafana.dashboards import Dashboard, Variable, read_dashboards

POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "x"}


def target(sql: str = "SELECT 1", **more: Any) -> dict[str, Any]:
    return {"refId": "A", "datasource": POSTGRES, "rawSql": sql, **more}


def panel(title: str, *targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 1, "type": "stat", "title": title, "targets": list(targets or [target()]), **more}


def read(folder: Path, model: object) -> Dashboard:
    (folder / "d.json").write_text(json.dumps(model))
    return read_dashboards(folder)[0]


def skipped(dashboard: Dashboard) -> list[str | None]:
    return [q.skipped for p in dashboard.panels for q in p.queries]


def test_panels_queries_and_the_range_are_read(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {
            "title": "Desk",
            "uid": "u1",
            "time": {"from": "now-30d", "to": "now"},
            "panels": [panel("Open", target("SELECT 2"), target("SELECT 3", refId="B")), {"type": "text", "id": 9}],
        },
    )
    assert (found.title, found.uid, found.time_from, found.time_to) == ("Desk", "u1", "now-30d", "now")
    assert [(p.title, p.kind, [(q.ref, q.sql) for q in p.queries]) for p in found.panels] == [
        ("Open", "stat", [("A", "SELECT 2"), ("B", "SELECT 3")]),
        ("panel 9", "text", []),
    ]
    assert found.queries == 2


@pytest.mark.parametrize("wrapper", ["dashboard", "spec"])
def test_a_wrapped_export_is_unwrapped(tmp_path: Path, wrapper: str) -> None:
    assert read(tmp_path, {wrapper: {"title": "Desk", "panels": [panel("Open")]}, "meta": {}}).title == "Desk"


def test_panels_in_old_rows_and_in_collapsed_rows_are_found(tmp_path: Path) -> None:
    old = read(tmp_path, {"rows": [{"panels": [panel("a")]}, None, {"panels": None}]})
    assert [p.title for p in old.panels] == ["a"]
    new = read(
        tmp_path,
        {
            "panels": [
                panel("first"),
                {"type": "row", "title": "closed", "repeat": "team", "panels": [panel("inside", repeat="site")]},
                {"type": "row", "title": "open", "repeat": "team", "panels": []},
                panel("below"),
            ]
        },
    )
    assert [(p.title, p.repeat) for p in new.panels] == [
        ("first", ()),
        ("inside", ("team", "site")),
        ("below", ("team",)),
    ]


def test_queries_that_cannot_be_tried_say_why(tmp_path: Path) -> None:
    model = {
        "templating": {"list": [{"name": "ds", "type": "datasource", "query": "mysql"}]},
        "__inputs": [{"name": "DS_PG", "type": "datasource", "pluginId": "postgres"}],
        "panels": [
            panel("other source", target(datasource={"type": "prometheus", "uid": "p"})),
            panel("source by variable", target(datasource={"uid": "${ds}"})),
            panel("source by input", target(datasource="${DS_PG}")),
            panel("source of the panel", {"rawSql": "SELECT 1"}, datasource={"type": "mysql"}),
            panel("mixed", target(), target(datasource={"type": "__expr__"}), datasource={"uid": "-- Mixed --"}),
            panel("default source", target(datasource=None)),
            panel("hidden", target(hide=True)),
            panel("empty", target(" ")),
            {"title": "library", "libraryPanel": {"uid": "l"}},
        ],
    }
    assert skipped(read(tmp_path, model)) == [
        "asks a data source of type prometheus",
        "asks a data source of type mysql",
        None,
        "asks a data source of type mysql",
        None,
        "asks a data source of type __expr__",
        None,
        "hidden",
        "has no SQL",
        "a library panel: its query is not in this file",
    ]


def test_variables_are_read_with_their_choices(tmp_path: Path) -> None:
    model = {
        "panels": [],
        "templating": {
            "list": [
                {"name": "a", "type": "custom", "query": "one, Two : 2", "current": {"value": "one"}},
                {
                    "name": "b",
                    "type": "query",
                    "query": {"rawSql": "SELECT team FROM t"},
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                    "regex": "/x/",
                    "current": {"value": ["$__all"]},
                    "options": [{"value": "$__all"}, {"value": "x"}],
                },
                {"name": "c", "type": "constant", "query": "fixed"},
                {"type": "custom"},
            ]
        },
    }
    first, second, third = read(tmp_path, model).variables
    assert first == Variable("a", "custom", ("one",), ("one", "2"), "one, Two : 2")
    assert second == Variable("b", "query", ("$__all",), ("x",), "SELECT team FROM t", True, True, ".*", "/x/")
    assert second.is_all
    assert third.current == ("fixed",)


def test_all_written_by_hand_is_all_only_where_there_is_such_a_choice() -> None:
    assert Variable("team", "custom", ("All",), include_all=True).is_all
    assert not Variable("team", "custom", ("All",)).is_all


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{\n oops", "d.json is not JSON (line 2)"),
        ("[1, 2]", "d.json is no Grafana dashboard"),
        ('{"title": "x"}', "d.json is no Grafana dashboard"),
        ('{"panels": 3}', "d.json is no Grafana dashboard"),
        ("[" * 100_000, "d.json is not JSON"),
        ('{"spec": {"elements": {"panel-1": {}}}}', "schema v2"),
        ("\udcff", "d.json is not JSON"),
    ],
)
def test_what_is_no_dashboard_is_refused_by_name(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "d.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UsageError) as refused:
        read_dashboards(tmp_path)
    assert said in refused.value.message


def test_other_files_and_folders_beside_the_dashboards_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("no dashboard")
    (tmp_path / "old.json").mkdir()
    assert read(tmp_path, {"title": "Desk", "panels": []}).title == "Desk"
    assert len(read_dashboards(tmp_path)) == 1


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match=str(folder)):
            read_dashboards(folder)


def test_two_dashboards_of_one_title_are_told_apart(tmp_path: Path) -> None:
    for name in ("a.json", "b.JSON"):
        (tmp_path / name).write_text(json.dumps({"title": "Desk", "panels": []}))
    assert [d.title for d in read_dashboards(tmp_path)] == ["Desk (a.json)", "Desk (b.JSON)"]


def test_the_demo_brings_four_dashboards_with_queries() -> None:
    found = read_dashboards(demo_dashboards())
    assert len(found) == 4
    assert all(d.queries >= 6 for d in found)
    assert len({d.uid for d in found}) == 4


def test_published_dashboards_are_read(shared_data: Path) -> None:
    counts = {d.uid: d.queries for d in read_dashboards(shared_data / "grafana")}
    assert counts == {
        "autotask-tickets": 4,
        "servicedesk-executive": 6,
        "servicedesk-operations": 8,
        "servicedesk-quality": 8,
        "servicedesk-team-performance": 4,
    }
