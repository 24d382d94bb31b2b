"""Grafana dashboards as they lie in files: panels, their SQL, and template variables.

Reads what Grafana exports (the bare model, or wrapped in ``{"dashboard": ...}``), rows and collapsed rows included.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdetl_engine.errors import UsageError

_LARGEST_FILE = 20 * 1024 * 1024
_POSTGRES = ("postgres", "grafana-postgresql-datasource")


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.  ``skipped`` says why it is not one that can be tried."""

    ref: str
    sql: str
    skipped: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Panel:
    """One panel with its queries."""

    title: str
    kind: str
    queries: tuple[Query, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """A template variable: what it may be, and what it is now.  ``current`` and ``options`` as texts."""

    name: str
    kind: str
    current: tuple[str, ...]
    options: tuple[str, ...] = ()
    query: str = ""
    multi: bool = False
    include_all: bool = False
    all_value: str | None = None

    @property
    def is_all(self) -> bool:
        """True while "All" is chosen."""
        return "$__all" in self.current


@dataclasses.dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard.  ``time_from`` and ``time_to`` as Grafana writes them (``now-90d``)."""

    title: str
    uid: str
    file: str
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...] = ()
    time_from: str = ""
    time_to: str = ""

    @property
    def queries(self) -> int:
        """How many queries can be tried."""
        return sum(q.skipped is None for p in self.panels for q in p.queries)


def read_dashboards(directory: Path) -> tuple[Dashboard, ...]:
    """Every dashboard of the folder (``*.json``), by file name.  Raises UsageError naming what cannot be read."""
    if not directory.is_dir():
        raise UsageError(f"there is no folder {directory}", next_step="name the dashboards' folder with --dashboards")
    files = sorted(p for p in directory.iterdir() if p.suffix.lower() == ".json" and p.is_file())
    found = tuple(_read(path) for path in files)
    if not found:
        raise UsageError(
            f"the folder {directory} holds no dashboard (*.json)", next_step="export them from Grafana as JSON"
        )
    return _with_distinct_titles(found)


def _with_distinct_titles(found: Sequence[Dashboard]) -> tuple[Dashboard, ...]:
    """Two dashboards of one title are told apart by their files."""
    titles = [d.title for d in found]
    return tuple(
        dataclasses.replace(d, title=f"{d.title} ({Path(d.file).name})") if titles.count(d.title) > 1 else d
        for d in found
    )


def _read(path: Path) -> Dashboard:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise UsageError(f"{path} is too large for a dashboard", next_step="take it out of the folder")
        model = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not JSON: {type(error).__name__}", next_step="export the dashboard again"
        ) from None
    model = model.get("dashboard", model) if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("panels", model.get("rows")), list):
        raise UsageError(f"{path} is no Grafana dashboard: it has no panels", next_step="take it out of the folder")
    time = model.get("time") if isinstance(model.get("time"), dict) else {}
    templating = model.get("templating") if isinstance(model.get("templating"), dict) else {}
    assert isinstance(time, dict)
    assert isinstance(templating, dict)
    return Dashboard(
        title=str(model.get("title") or path.stem),
        uid=str(model.get("uid") or ""),
        file=str(path),
        panels=tuple(_panel(p) for p in _panels(model)),
        variables=tuple(_variable(v) for v in templating.get("list") or [] if isinstance(v, dict) and v.get("name")),
        time_from=str(time.get("from") or ""),
        time_to=str(time.get("to") or ""),
    )


def _panels(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Panels in order, those inside rows included; rows themselves are no panels."""
    for row in model.get("rows") or []:
        yield from (p for p in row.get("panels") or [] if isinstance(p, dict))
    for panel in model.get("panels") or []:
        if isinstance(panel, dict):
            yield from (p for p in panel.get("panels") or [] if isinstance(p, dict))
            if panel.get("type") != "row":
                yield panel


def _panel(panel: Mapping[str, Any]) -> Panel:
    targets = [t for t in panel.get("targets") or [] if isinstance(t, dict)]
    queries = tuple(_query(t, panel.get("datasource")) for t in targets)
    if panel.get("libraryPanel") and not queries:
        queries = (Query("", "", "a library panel: its query is not in this file"),)
    return Panel(str(panel.get("title") or f"panel {panel.get('id', '?')}"), str(panel.get("type") or ""), queries)


def _query(target: Mapping[str, Any], panel_source: object) -> Query:
    source = target.get("datasource") or panel_source
    kind = str(source.get("type") or "") if isinstance(source, dict) else ""
    text = str(target.get("rawSql") or "")
    skipped = None
    if kind and kind not in _POSTGRES and not kind.startswith(("$", "-", "datasource")):
        skipped = f"asks a data source of type {kind}"
    elif target.get("hide"):
        skipped = "hidden"
    elif not text.strip():
        skipped = "has no SQL"
    return Query(str(target.get("refId") or ""), text, skipped)


def _variable(variable: Mapping[str, Any]) -> Variable:
    current = variable.get("current") if isinstance(variable.get("current"), dict) else {}
    assert isinstance(current, dict)
    options = [o for o in variable.get("options") or [] if isinstance(o, dict)]
    query = variable.get("query")
    if isinstance(query, dict):
        query = query.get("rawSql") or query.get("query") or ""
    kind = str(variable.get("type") or "")
    listed = [str(o.get("value")) for o in options if o.get("value") != "$__all"]
    if kind in ("custom", "interval") and not listed and isinstance(query, str):
        listed = [part.strip().rpartition(" : ")[2] for part in query.split(",") if part.strip()]
    return Variable(
        name=str(variable["name"]),
        kind=kind,
        current=_texts(current.get("value")) or (_texts(query) if kind in ("constant", "textbox") else ()),
        options=tuple(listed),
        query=str(query or ""),
        multi=bool(variable.get("multi")),
        include_all=bool(variable.get("includeAll")),
        all_value=str(variable["allValue"]) if variable.get("allValue") else None,
    )


def _texts(value: object) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    return tuple(str(v) for v in value) if isinstance(value, list) else (str(value),)
