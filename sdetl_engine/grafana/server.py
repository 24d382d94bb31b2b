"""Grafana's HTTP API, as far as sdetl reads it.  Nothing is ever written there.

Whatever goes wrong is a :class:`GrafanaFailed` that says what in a few words, without the token and without what a
stranger's server sent along.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from sdetl_engine.errors import UsageError
from sdetl_engine.grafana.answers import Answer
from sdetl_engine.grafana.dashboards import Dashboard, dashboard_of
from sdetl_engine.grafana.frames import NotFrames, read_answer
from sdetl_engine.grafana.said import without_values
from sdetl_engine.grafana.timerange import epoch_milliseconds

if TYPE_CHECKING:
    from datetime import datetime

    from sdetl_engine.settings import GrafanaSettings

_POSTGRES = ("postgres", "grafana-postgresql-datasource")
_REFUSED = {401: "the token is refused (401)", 403: "the token may not do that (403)", 404: "not found (404)"}
_PAGE = 100


class GrafanaFailed(Exception):
    """Grafana could not be asked; the text says why.  ``is_lost``: it does not answer at all, or not in time."""

    def __init__(self, reason: str, *, is_lost: bool = False) -> None:
        super().__init__(reason)
        self.is_lost = is_lost


@dataclasses.dataclass(frozen=True, slots=True)
class DataSource:
    """A PostgreSQL data source as Grafana describes it; what it does not tell is empty."""

    uid: str
    name: str
    address: str
    database: str
    user: str
    is_provisioned: bool


class GrafanaServer:
    """One Grafana.  Nothing is sent before the first question."""

    def __init__(self, settings: GrafanaSettings, token: str) -> None:
        from grafana_client.api import GrafanaApi

        assert settings.url is not None
        parts = urlsplit(settings.url)
        host = parts.hostname or ""
        prefix = parts.path.strip("/")
        self._settings = settings
        self._api: Any = GrafanaApi(
            auth=token,
            protocol=parts.scheme,
            host=f"[{host}]" if ":" in host else host,
            port=parts.port,
            url_path_prefix=f"{prefix}/" if prefix else "",
            timeout=settings.timeout_seconds,
        )

    def version(self) -> str:
        """Grafana's version.  Raises GrafanaFailed."""
        return str(_mapping(self._ask(functools.partial(self._api.client.GET, "/health"))).get("version") or "unknown")

    def dashboards(self) -> tuple[tuple[Dashboard, ...], tuple[str, ...]]:
        """The dashboards that the settings name, and what could not be read of them.  Raises GrafanaFailed."""
        found, problems = [], []
        for uid in self._uids():
            try:
                document = self._ask(functools.partial(self._api.dashboard.get_dashboard, quote(uid, safe="")))
                found.append(dashboard_of(document, f"grafana:{uid}"))
            except UsageError as error:
                problems.append(error.message)
            except GrafanaFailed as error:
                if error.is_lost:
                    raise
                problems.append(f"dashboard {uid}: {error}")
        return tuple(found), tuple(problems)

    def data_sources(self) -> tuple[DataSource, ...]:
        """Its PostgreSQL data sources.  Raises GrafanaFailed."""
        listed = self._ask(self._api.datasource.list_datasources)
        if not isinstance(listed, list):
            raise GrafanaFailed("its list of data sources is no list")
        return tuple(_data_source(s) for s in map(_mapping, listed) if s.get("type") in _POSTGRES)

    def health(self, uid: str) -> str | None:
        """What is wrong with a data source according to Grafana itself; None when it is well.  Raises GrafanaFailed."""
        found = _mapping(self._ask(lambda: self._api.datasource.health(quote(uid, safe="")), broken_is_told=True))
        if found.get("status") == "OK":
            return None
        return without_values(str(found.get("message") or "it does not say what"))[:300]

    def query(self, sql: str, uid: str, form: str, start: datetime, end: datetime, keep_rows: int) -> Answer:
        """Ask a data source as a panel does.  Raises GrafanaFailed; a query that fails is an answer."""
        question = {
            "queries": [
                {"refId": "A", "datasource": {"uid": uid}, "rawSql": sql, "format": form, "maxDataPoints": 500}
            ],
            "from": str(epoch_milliseconds(start)),
            "to": str(epoch_milliseconds(end)),
        }
        began = time.monotonic()
        document = self._ask(lambda: self._api.client.POST("/ds/query", json=question), broken_is_told=True)
        try:
            return read_answer(document, "A", keep_rows, (time.monotonic() - began) * 1000)
        except NotFrames as error:
            raise GrafanaFailed(f"its answer is not understood: {error}") from None

    def _uids(self) -> list[str]:
        wanted = self._settings
        uids = list(wanted.uids)
        if wanted.tag or wanted.folder is not None or not wanted.uids:
            folder = self._folder_uid(wanted.folder) if wanted.folder is not None else None
            for tag in wanted.tag or (None,):
                uids += [str(hit.get("uid") or "") for hit in self._search("dash-db", tag=tag, folder_uids=folder)]
        return list(dict.fromkeys(filter(None, uids)))[: wanted.most_dashboards]

    def _folder_uid(self, named: str) -> str:
        """The uid of a folder that is named by its uid or its title."""
        folders = list(self._search("dash-folder"))
        for folder in folders:
            if named in (folder.get("uid"), folder.get("title")):
                return str(folder["uid"])
        raise GrafanaFailed(f"it has no folder {named!r}")

    def _search(self, kind: str, **wanted: Any) -> Iterator[Mapping[str, Any]]:
        for page in range(1, 2 + self._settings.most_dashboards // _PAGE):
            search = functools.partial(self._api.search.search_dashboards, type_=kind, limit=_PAGE, page=page, **wanted)
            hits = self._ask(search)
            if not isinstance(hits, list):
                raise GrafanaFailed("what it found is no list")
            yield from map(_mapping, hits)
            if len(hits) < _PAGE:
                return

    def _ask(self, request: Callable[[], Any], *, broken_is_told: bool = False) -> Any:
        """What a request returns.  ``broken_is_told``: an error that comes as the documented JSON is an answer, too."""
        from grafana_client.client import GrafanaException, GrafanaTimeoutError
        from niquests.exceptions import JSONDecodeError, RequestException

        try:
            answer = request()
        except GrafanaTimeoutError:
            raise self._late() from None
        except GrafanaException as error:
            told = error.response
            if broken_is_told and isinstance(told, dict) and ("results" in told or "status" in told):
                return told
            raise GrafanaFailed(_refusal(error.status_code, told), is_lost=False) from None
        except (JSONDecodeError, ValueError):
            raise GrafanaFailed("it answers with something else than JSON") from None
        except RequestException as error:
            if "timeout" in type(error).__name__.lower():
                raise self._late() from None
            raise GrafanaFailed(f"it does not answer ({type(error).__name__})", is_lost=True) from None
        if not isinstance(answer, (dict, list)):
            raise GrafanaFailed("it answers with something else than JSON")
        return answer

    def _late(self) -> GrafanaFailed:
        seconds = f"{self._settings.timeout_seconds:g} s"
        return GrafanaFailed(f"it did not answer within {seconds} (grafana.timeout_seconds)", is_lost=True)


def _refusal(status: int, told: object) -> str:
    message = without_values(str(_mapping(told).get("message") or ""))[:200]
    return _REFUSED.get(status, f"it answers {status}" + (f": {message}" if message else ""))


def _data_source(source: Mapping[str, Any]) -> DataSource:
    more = _mapping(source.get("jsonData"))
    return DataSource(
        uid=str(source.get("uid") or ""),
        name=str(source.get("name") or ""),
        address=str(source.get("url") or ""),
        database=str(more.get("database") or source.get("database") or ""),
        user=str(source.get("user") or ""),
        is_provisioned=bool(source.get("readOnly")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
