"""The place of a file tells what it may know: the import arrows of the house, read from the source itself."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINE = sorted((ROOT / "sdetl_engine").rglob("*.py"))
SCREEN_LIBRARIES = {"textual", "rich", "typer", "click", "sdetl_tui"}
ROOMS_BELOW = {
    "values": {"values"},
    "profiling": {"values", "profiling", "findings", "rules", "errors", "wording"},
    "quality": {"values", "profiling", "quality", "findings", "rules", "errors", "wording"},
    "sqlite": {
        "values",
        "profiling",
        "sqlite",
        "findings",
        "events",
        "errors",
        "settings",
        "observe",
        "files",
        "processes",
        "wording",
    },
    "postgres": {
        *{"values", "profiling", "postgres", "sqlite", "findings", "events", "errors", "settings", "observe", "files"},
        *{"grafana", "processes", "workspace", "wording"},
    },
    "grafana": {
        "values",
        "profiling",
        "grafana",
        "findings",
        "events",
        "errors",
        "settings",
        "observe",
        "files",
        "wording",
    },
}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "sdetl_engine")


@pytest.mark.parametrize("path", ENGINE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_engine_knows_no_screen(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports_of(path)} & SCREEN_LIBRARIES


@pytest.mark.parametrize("room", ROOMS_BELOW)
def test_a_room_imports_only_what_stands_beside_or_below_it(room: str) -> None:
    for path in (ROOT / "sdetl_engine" / room).rglob("*.py"):
        ours = {name.split(".")[1] for name in imports_of(path) if name.startswith("sdetl_engine.")}
        assert ours <= ROOMS_BELOW[room], f"{path.name} imports {sorted(ours - ROOMS_BELOW[room])}"


def test_values_import_nothing_but_the_standard_library() -> None:
    for path in (ROOT / "sdetl_engine" / "values").rglob("*.py"):
        outside = {n.partition(".")[0] for n in imports_of(path)} - set(sys.stdlib_module_names)
        assert outside <= {"sdetl_engine"}, path


@pytest.mark.parametrize("room", ["steps", "switching", "keeping"])
def test_what_stages_share_knows_no_stage(room: str) -> None:
    above = {"stages", "engine", "runner", "report", *({"steps"} if room != "steps" else ())}
    for path in (ROOT / "sdetl_engine" / room).rglob("*.py"):
        ours = {name.split(".")[1] for name in imports_of(path) if name.startswith("sdetl_engine.")}
        assert not ours & above, f"{path.name} imports {sorted(ours & above)}"


@pytest.mark.parametrize(("room", "below"), [("dialect", {"dialect"}), ("ddl", {"dialect", "ddl", "plan"})])
def test_what_is_planned_for_postgresql_knows_no_server(room: str, below: set[str]) -> None:
    for path in (ROOT / "sdetl_engine" / "postgres" / room).rglob("*.py"):
        ours = {name.split(".")[2] for name in imports_of(path) if name.startswith("sdetl_engine.postgres.")}
        assert ours <= {*below, "names"}, f"{path.name} imports {sorted(ours)}"


def test_no_stage_imports_another_stage() -> None:
    for path in (ROOT / "sdetl_engine" / "stages").rglob("*.py"):
        assert not [n for n in imports_of(path) if n.startswith("sdetl_engine.stages")], path


def test_the_screens_use_only_the_public_face_of_the_engine() -> None:
    allowed = {"sdetl_engine", "sdetl_engine.demo", "sdetl_engine.values.encodings"}
    for path in (ROOT / "sdetl_tui").rglob("*.py"):
        modules = {n for n in imports_of(path) if n.partition(".")[0] == "sdetl_engine"}
        inner = {n for n in modules if n not in allowed and not n[len("sdetl_engine.") :][:1].isupper()}
        deep = {n for n in inner if n.count(".") >= 1 and (ROOT / (n.replace(".", "/") + ".py")).exists()}
        assert not deep - allowed, f"{path.name}: {sorted(deep - allowed)}"
