"""Grafana dashboards as they lie in files: panels, their SQL, and template variables.

Reads what Grafana exports: the bare model, the one wrapped in ``{"dashboard": ...}`` by its HTTP API, and the one
wrapped in ``{"spec": ...}`` by its newer one; old rows and collapsed rows included.
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
_WRAPPERS = ("dashboard", "spec")
_ALL = "$__all"


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.  ``skipped`` says why it is not one that can be tried.

    ``source`` is the data source's uid or name where the dashboard names it, else empty; ``form`` is what the answer
    is asked as: ``table`` or ``time_series``.
    """

    ref: str
    sql: str
    skipped: str | None = None
    source: str = ""
    form: str = "table"


@dataclasses.dataclass(frozen=True, slots=True)
class Panel:
    """One panel with its queries; none for texts and the like.

    ``repeat`` names the variables that it (or its row) is repeated for: in each copy they stand for one value.
    """

    title: str
    kind: str
    queries: tuple[Query, ...]
    repeat: tuple[str, ...] = ()


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
    regex: str = ""
    """``/.../``: which of the query's values count, and which part of each."""

    @property
    def is_all(self) -> bool:
        """True while "All" is chosen.  Files written by hand say ``All`` where Grafana says ``$__all``."""
        return _ALL in self.current or (self.include_all and self.current == ("All",))


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
    try:
        files = sorted(p for p in directory.iterdir() if p.suffix.lower() == ".json" and p.is_file())
    except OSError as error:
        raise UsageError(f"{directory} cannot be read: {error.strerror}", next_step="allow it to be read") from None
    found = tuple(_read(path) for path in files)
    if not found:
        raise UsageError(
            f"the folder {directory} holds no dashboard (*.json)", next_step="export them from Grafana as JSON"
        )
    return with_distinct_titles(found)


def with_distinct_titles(found: Sequence[Dashboard]) -> tuple[Dashboard, ...]:
    """Two dashboards of one title are told apart by their files."""
    titles = [d.title for d in found]
    return tuple(
        dataclasses.replace(d, title=f"{d.title} ({Path(d.file).name})") if titles.count(d.title) > 1 else d
        for d in found
    )


def _read(path: Path) -> Dashboard:
    return dashboard_of(_document(path), str(path))


def dashboard_of(document: object, origin: str) -> Dashboard:
    """A dashboard from its JSON, bare or wrapped; ``origin`` names it in errors.  Raises UsageError."""
    model = _model(document, origin)
    templating = _mapping(model.get("templating"))
    listed = [v for v in _list(templating.get("list")) if isinstance(v, dict) and v.get("name")]
    sources = _source_kinds(model, listed)
    time = _mapping(model.get("time"))
    return Dashboard(
        title=str(model.get("title") or Path(origin).stem),
        uid=str(model.get("uid") or ""),
        file=origin,
        panels=tuple(_panel(p, repeat, sources) for p, repeat in _panels(model)),
        variables=tuple(_variable(v) for v in listed),
        time_from=str(time.get("from") or ""),
        time_to=str(time.get("to") or ""),
    )


def _document(path: Path) -> object:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise UsageError(f"{path} is too large for a dashboard", next_step="take it out of the folder")
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", next_step="allow it to be read") from None
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise UsageError(f"{path} is not JSON{place}", next_step="export the dashboard again") from None


def _model(document: object, origin: str) -> Mapping[str, Any]:
    wrapped = [document[key] for key in _WRAPPERS if isinstance(document, dict) and isinstance(document.get(key), dict)]
    model = wrapped[0] if wrapped else document
    if isinstance(model, dict) and isinstance(model.get("elements"), dict):
        raise UsageError(
            f"{origin} is a dashboard in Grafana's schema v2, which is not read",
            next_step="export it in the classic model",
        )
    if not isinstance(model, dict) or not any(isinstance(model.get(key), list) for key in ("panels", "rows")):
        raise UsageError(f"{origin} is no Grafana dashboard: it has no panels", next_step="take it out of the folder")
    return model


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _panels(model: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], tuple[str, ...]]]:
    """Panels in order, those inside rows included, with what they are repeated for; rows themselves are no panels."""
    for row in filter(None, map(_mapping, _list(model.get("rows")))):
        yield from ((p, _repeats(row, p)) for p in map(_mapping, _list(row.get("panels"))) if p)
    row = {}
    for panel in filter(None, map(_mapping, _list(model.get("panels")))):
        if panel.get("type") == "row":
            row = panel
            yield from ((p, _repeats(row, p)) for p in map(_mapping, _list(panel.get("panels"))) if p)
        else:
            yield panel, _repeats(row, panel)


def _repeats(row: Mapping[str, Any], panel: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(p["repeat"]) for p in (row, panel) if p.get("repeat"))


def _panel(panel: Mapping[str, Any], repeat: tuple[str, ...], sources: Mapping[str, str]) -> Panel:
    targets = [t for t in _list(panel.get("targets")) if isinstance(t, dict)]
    queries = tuple(_query(t, panel.get("datasource"), sources) for t in targets)
    if panel.get("libraryPanel") and not queries:
        queries = (Query("", "", "a library panel: its query is not in this file"),)
    title = str(panel.get("title") or f"panel {panel.get('id', '?')}")
    return Panel(title, str(panel.get("type") or ""), queries, repeat)


def _query(target: Mapping[str, Any], panel_source: object, sources: Mapping[str, str]) -> Query:
    text = target.get("rawSql")
    source = target.get("datasource") or panel_source
    kind = _source_kind(source, sources)
    skipped = None
    if kind and kind not in _POSTGRES:
        skipped = f"asks a data source of type {kind}"
    elif target.get("hide"):
        skipped = "hidden"
    elif not isinstance(text, str) or not text.strip():
        skipped = "has no SQL"
    return Query(
        ref=str(target.get("refId") or ""),
        sql=text if isinstance(text, str) else "",
        skipped=skipped,
        source=_source_name(source),
        form="time_series" if target.get("format") == "time_series" else "table",
    )


def _source_kinds(model: Mapping[str, Any], variables: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What is known of named data sources: variables of that kind, and the inputs of a dashboard exported to share."""
    kinds = {str(v["name"]): str(v.get("query") or "") for v in variables if v.get("type") == "datasource"}
    inputs = [i for i in _list(model.get("__inputs")) if isinstance(i, dict) and i.get("type") == "datasource"]
    return kinds | {str(i.get("name") or ""): str(i.get("pluginId") or "") for i in inputs}


def _source_kind(source: object, sources: Mapping[str, str]) -> str:
    """The type of a data source; empty when the file does not tell, as when it is named or Grafana's default."""
    if isinstance(source, dict):
        kind = str(source.get("type") or "")
        if kind and kind != "datasource" and not kind.startswith("$"):
            return kind
        source = source.get("uid")
    name = str(source or "")
    return sources.get(name.strip("${}"), "") if name.startswith("$") else ""


def _source_name(source: object) -> str:
    """The uid or name of a data source that is named; variables and Grafana's own sources are not."""
    name = source.get("uid") if isinstance(source, dict) else source
    return name if isinstance(name, str) and not name.startswith(("$", "-- ")) else ""


def _variable(variable: Mapping[str, Any]) -> Variable:
    kind = str(variable.get("type") or "")
    query = variable.get("query")
    if isinstance(query, dict):
        query = query.get("rawSql") or query.get("query")
    query = query if isinstance(query, str) else ""
    current = _texts(_mapping(variable.get("current")).get("value"))
    return Variable(
        name=str(variable["name"]),
        kind=kind,
        current=current or (_texts(query) if kind in ("constant", "textbox") else ()),
        options=_options(variable, kind, query),
        query=query,
        multi=bool(variable.get("multi")),
        include_all=bool(variable.get("includeAll")),
        all_value=str(variable["allValue"]) if variable.get("allValue") else None,
        regex=str(variable.get("regex") or ""),
    )


def _options(variable: Mapping[str, Any], kind: str, query: str) -> tuple[str, ...]:
    """The values to choose from; lists written in the dashboard are ``value`` or ``label : value``, with commas."""
    options = [o for o in _list(variable.get("options")) if isinstance(o, dict) and o.get("value") is not None]
    listed = [v for o in options for v in _texts(o.get("value")) if v != _ALL]
    if kind in ("custom", "interval") and not listed:
        listed = [part.strip().rpartition(" : ")[2].strip() for part in query.split(",") if part.strip()]
    return tuple(listed)


def _texts(value: object) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    return tuple(str(v) for v in value) if isinstance(value, list) else (str(value),)
