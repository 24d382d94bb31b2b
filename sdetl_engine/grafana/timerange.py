"""Grafana's time ranges and durations: ``now-6M/M``, ``$__interval``, ``${__from:date:YYYY-MM}``.

The rules are those of Grafana's date math and of its global variables
(https://grafana.com/docs/grafana/latest/dashboards/use-dashboards/#time-units-and-relative-ranges).
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta

from sdetl_engine.grafana.unknown import UnknownInQuery

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 2_592_000, "y": 31_536_000}
_DURATION = re.compile(r"(?:\d{1,9}(?:ms|[smhdwMy]))+")
_DURATION_PART = re.compile(r"(\d+)(ms|[smhdwMy])")
_RELATIVE = re.compile(r"now((?:[+-]\d{1,6}[smhdwMQy])*)(?:/f?([smhdwMQy]))?")
_STEP = re.compile(r"([+-]\d+)([smhdwMQy])")
_MONTHS = {"M": 1, "Q": 3, "y": 12}
_ROUNDED = (
    *((1.5, 1), (3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300)),
    *((750, 600), (1050, 900), (1500, 1200), (2700, 1800), (5400, 3600), (9000, 7200), (16_200, 10_800)),
    *((32_400, 21_600), (86_400, 43_200), (604_800, 86_400), (1_814_400, 604_800), (3_628_800, 2_592_000)),
)
"""Grafana's round intervals: below so many seconds per point, a point stands for so many."""
_TOKEN = re.compile(r"\[([^\]]*)\]|YYYY|YY|MM?|DD?|HH?|mm?|ss?|SSS|X|x|([A-Za-z]+)|[^A-Za-z\[]+|\[")


def range_of(time_from: str, time_to: str, *, default_days: int, now: datetime) -> tuple[datetime, datetime]:
    """A dashboard's range in UTC; ``default_days`` back from now where it has none that can be read."""
    end = moment_of(time_to, now, ends=True) or now
    start = moment_of(time_from, now, ends=False)
    return (start if start is not None and start < end else end - timedelta(days=default_days)), end


def moment_of(text: str, now: datetime, *, ends: bool) -> datetime | None:
    """A relative (``now-1d/d``), ISO or epoch-millisecond moment; None when it is none of them.

    Rounding (``/d``) goes to the beginning of the unit, or to its end for the moment that ``ends`` a range.
    """
    relative = _RELATIVE.fullmatch(text.strip())
    try:
        if relative is not None:
            moment = now
            for step in _STEP.finditer(relative[1]):
                moment = _shifted(moment, int(step[1]), step[2])
            return _rounded(moment, relative[2], ends=ends) if relative[2] else moment
        if text.strip().isdecimal():
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError, OSError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shifted(moment: datetime, count: int, unit: str) -> datetime:
    if unit not in _MONTHS:
        return moment + timedelta(seconds=count * _SECONDS[unit])
    years, month = divmod(moment.year * 12 + moment.month - 1 + count * _MONTHS[unit], 12)
    last = calendar.monthrange(years, month + 1)[1]
    return moment.replace(year=years, month=month + 1, day=min(moment.day, last))


def _rounded(moment: datetime, unit: str, *, ends: bool) -> datetime:
    begin = _begin_of(moment, unit)
    return _shifted(begin, 1, unit) - timedelta(milliseconds=1) if ends else begin


def _begin_of(moment: datetime, unit: str) -> datetime:
    if unit in "smh":
        return moment.replace(
            microsecond=0,
            second=moment.second if unit == "s" else 0,
            minute=0 if unit == "h" else moment.minute,
        )
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "w":
        return day - timedelta(days=day.weekday())
    if unit == "d":
        return day
    months = _MONTHS[unit]
    return day.replace(day=1, month=(day.month - 1) // months * months + 1)


def seconds_of(text: str) -> float:
    """A duration such as ``5m``, ``1d`` or ``1h30m``, with or without quotes, in seconds.  Raises UnknownInQuery."""
    bare = text.strip().strip("'\"")
    if _DURATION.fullmatch(bare) is None:
        raise UnknownInQuery(f"{text} is no interval")
    seconds = sum(int(part[1]) * _SECONDS[part[2]] for part in _DURATION_PART.finditer(bare))
    if seconds <= 0:
        raise UnknownInQuery(f"{text} is no interval: it must be more than nothing")
    return seconds


def interval_seconds(start: datetime, end: datetime, points: int) -> int:
    """What one of so many points of the range stands for, rounded as Grafana rounds (seconds, at least one)."""
    wanted = (end - start).total_seconds() / points
    return next((step for limit, step in _ROUNDED if wanted < limit), 31_536_000)


def duration_text(seconds: int) -> str:
    """The shortest way to write a duration: ``10800`` is ``3h``."""
    for unit in ("y", "d", "h", "m"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds // int(_SECONDS[unit])}{unit}"
    return f"{seconds}s"


def epoch_milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, exactly."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def rfc3339(moment: datetime) -> str:
    """``2025-10-19T14:30:22Z``, with the milliseconds when there are any."""
    milliseconds = moment.microsecond // 1000
    fraction = f".{milliseconds:03d}".rstrip("0") if milliseconds else ""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def moment_text(moment: datetime, form: str | None) -> str:
    """``${__from}`` in one of its formats: milliseconds, ``date``, ``date:seconds``, ``date:YYYY-MM-DD``."""
    kind, _, pattern = (form or "").partition(":")
    if kind != "date":
        return str(epoch_milliseconds(moment))
    if pattern in ("", "iso"):
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    if pattern == "ms":
        return str(epoch_milliseconds(moment))
    if pattern == "seconds":
        return str(round(epoch_milliseconds(moment) / 1000))
    return _TOKEN.sub(lambda token: _token(token, moment), pattern)


def _token(token: re.Match[str], moment: datetime) -> str:
    if token[1] is not None:
        return token[1]
    if token[2] is not None:
        raise UnknownInQuery(f"unknown date format {token[2]!r}")
    known = {
        "YYYY": f"{moment.year:04d}",
        "YY": f"{moment.year % 100:02d}",
        "MM": f"{moment.month:02d}",
        "M": str(moment.month),
        "DD": f"{moment.day:02d}",
        "D": str(moment.day),
        "HH": f"{moment.hour:02d}",
        "H": str(moment.hour),
        "mm": f"{moment.minute:02d}",
        "m": str(moment.minute),
        "ss": f"{moment.second:02d}",
        "s": str(moment.second),
        "SSS": f"{moment.microsecond // 1000:03d}",
        "X": str(epoch_milliseconds(moment) // 1000),
        "x": str(epoch_milliseconds(moment)),
    }
    return known.get(token[0], token[0])
