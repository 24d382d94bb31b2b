from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sdetl_engine.grafana.timerange import duration_text, interval_seconds, range_of

NOW = datetime(2025, 10, 19, 14, 30, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("time_from", "time_to", "start", "end"),
    [
        ("now-90d", "now", "2025-07-21 14:30:22", "2025-10-19 14:30:22"),
        ("now-1d/d", "now-1d/d", "2025-10-18 00:00:00", "2025-10-18 23:59:59.999"),
        ("now/w", "now/w", "2025-10-13 00:00:00", "2025-10-19 23:59:59.999"),
        ("now-1M/M", "now-1M/M", "2025-09-01 00:00:00", "2025-09-30 23:59:59.999"),
        ("now/fQ", "now", "2025-10-01 00:00:00", "2025-10-19 14:30:22"),
        ("now-1y/y", "now/h", "2024-01-01 00:00:00", "2025-10-19 14:59:59.999"),
        ("now-1d-6h", "now-15m", "2025-10-18 08:30:22", "2025-10-19 14:15:22"),
        ("2025-01-31T00:00:00.000Z", "2025-02-28T10:00:00+02:00", "2025-01-31 00:00:00", "2025-02-28 08:00:00"),
        ("1753056000000", "1760875200250", "2025-07-21 00:00:00", "2025-10-19 12:00:00.250"),
    ],
)
def test_ranges_as_grafana_writes_them(time_from: str, time_to: str, start: str, end: str) -> None:
    found = range_of(time_from, time_to, default_days=7, now=NOW)
    assert found == tuple(datetime.fromisoformat(t).replace(tzinfo=UTC) for t in (start, end))


@pytest.mark.parametrize("unreadable", ["", "yesterday", "now-99999y", "now+1d", "99999999999999999999", "2025-13-01"])
def test_a_range_that_cannot_be_read_is_the_default_one(unreadable: str) -> None:
    assert range_of(unreadable, "now", default_days=7, now=NOW) == (NOW - timedelta(days=7), NOW)


def test_a_month_earlier_keeps_the_day_where_there_is_one() -> None:
    start, _ = range_of("now-1M", "now", default_days=7, now=datetime(2024, 3, 31, tzinfo=UTC))
    assert start == datetime(2024, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "interval"), [(0.01, "2s"), (1, "2m"), (7, "20m"), (30, "1h"), (90, "3h"), (365, "12h"), (3650, "7d")]
)
def test_the_interval_of_a_point_is_a_round_one(days: float, interval: str) -> None:
    assert duration_text(interval_seconds(NOW - timedelta(days=days), NOW, 500)) == interval
