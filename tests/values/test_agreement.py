"""Numbers, two digits and clock times are dates by agreement only, and then exactly those."""

from __future__ import annotations

import pytest

from sdetl_engine.values.agreement import NOTHING_AGREED, Agreement, NumberUnit, clock_changes, has_short_year, zone_of

BERLIN = Agreement(zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("unit", "number", "date"),
    [
        ("seconds", 1_700_000_000, "2023-11-14 22:13:20+00:00"),
        ("seconds", 1_700_000_000.25, "2023-11-14 22:13:20.250000+00:00"),
        ("seconds", -1, "1969-12-31 23:59:59+00:00"),
        ("seconds", "1700000000", "2023-11-14 22:13:20+00:00"),
        ("milliseconds", 1_700_000_000_123, "2023-11-14 22:13:20.123000+00:00"),
        ("microseconds", 1_700_000_000_123_456, "2023-11-14 22:13:20.123456+00:00"),
        ("nanoseconds", 1_700_000_000_123_456_789, "2023-11-14 22:13:20.123456+00:00"),
        ("julian-days", 2_460_000.5, "2023-02-25 00:00:00+00:00"),
        ("julian-days", 2_460_310.923611111, "2024-01-01 10:10:00+00:00"),
        ("digits", 20_240_102, "2024-01-02"),
        ("digits", 20_180_406_034_959, "2018-04-06 03:49:59"),
        ("digits", 20_240_230, None),
        ("seconds", 10**18, None),
        ("seconds", float("inf"), None),
    ],
)
def test_a_number_is_the_date_that_it_was_agreed_to_be(unit: str, number: str | float, date: str | None) -> None:
    assert Agreement(NumberUnit(unit)).iso(number, None) == date
    assert NOTHING_AGREED.iso(number, None) is None


@pytest.mark.parametrize(
    ("form", "number", "date"),
    [
        ("clock", 1_700_000_000, "2023-11-14 22:13:20"),
        ("day", 1_699_920_000, "2023-11-14"),
        ("day", 1_700_000_000, None),
    ],
)
def test_a_number_may_become_a_clock_time_or_a_day(form: str, number: int, date: str | None) -> None:
    assert Agreement.parse(f"seconds||||{form}").iso(number, None) == date


@pytest.mark.parametrize(
    ("text", "century", "date"),
    [
        ("31/12/69", 1970, "2069-12-31"),
        ("31/12/70 9:05", 1970, "1970-12-31 09:05:00"),
        ("3/4/24", 2000, "2024-04-03"),
        ("12-MAR-24", 1950, "2024-03-12"),
        ("Mar 12, 24 10:15 PM", 1950, "2024-03-12 22:15:00"),
        ("12 mars 49", 1950, "2049-03-12"),
        ("31/12/2024", 1900, "2024-12-31"),
        ("30/2/24", 2000, None),
        ("10:15:24", 2000, None),
    ],
)
def test_two_digits_are_a_year_of_the_hundred_that_was_agreed(text: str, century: int, date: str | None) -> None:
    assert Agreement(century=century).iso(text, True) == date


def test_two_digits_are_noticed_and_their_order_is_not_guessed() -> None:
    assert has_short_year("31/12/69")
    assert not has_short_year("31/12/1969")
    assert not has_short_year("about 12/69")
    assert Agreement(century=1970).iso("3/4/24", None) is None


@pytest.mark.parametrize(
    ("clock", "instant", "change"),
    [
        ("2024-07-01 12:00", "2024-07-01 12:00:00+02:00", ""),
        ("31/12/2024 9:05", "2024-12-31 09:05:00+01:00", ""),
        ("2024-03-31 02:30:00", "2024-03-31 02:30:00+01:00", "skipped"),
        ("2024-10-27 02:30:00", "2024-10-27 02:30:00+01:00", "twice"),
        ("2024-07-01T10:00:00Z", "2024-07-01T10:00:00Z", ""),
        ("1850-01-01 00:00:00", "1849-12-31 23:06:32+00:00", ""),
        ("0001-01-01 00:00:00", "0001-01-01 00:00:00+00:00", ""),
    ],
)
def test_a_clock_time_is_an_instant_of_the_zone_that_was_named(clock: str, instant: str, change: str) -> None:
    assert BERLIN.iso(clock, True) == instant
    assert clock_changes(clock, BERLIN, True) == change
    assert BERLIN.iso(instant, True) == instant


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-02-28 24:00:00", "2024-02-29 00:00:00"),
        ("31/12/2024 24:00", "2025-01-01 00:00:00"),
        ("2024-12-31T24:00:00Z", "2025-01-01 00:00:00+00:00"),
        ("2016-12-31 23:59:60", "2017-01-01 00:00:00"),
        ("2016-12-31T23:59:60.5Z", "2017-01-01 00:00:00.500000+00:00"),
        ("2024-12-31 24:01:00", None),
        ("2024-12-31 23:59:61", None),
        ("9999-12-31 24:00:00", None),
        ("2024-02-30 24:00", None),
        ("2024-12-31 09:05:00", "2024-12-31 09:05:00"),
    ],
)
def test_what_is_past_the_end_of_a_day_or_minute_rolls_over_where_that_was_agreed(text: str, date: str | None) -> None:
    assert Agreement(rolls=True).iso(text, True) == date
    assert NOTHING_AGREED.iso(text, True) == (date if date == text else None)


def test_an_agreement_survives_its_code() -> None:
    agreed = Agreement(NumberUnit.JULIAN_DAYS, 1970, "America/Argentina/Ushuaia", True, "clock")
    assert Agreement.parse(agreed.code) == agreed
    assert not NOTHING_AGREED
    assert Agreement.parse(NOTHING_AGREED.code) == NOTHING_AGREED


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd"])
def test_a_zone_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        zone_of(name)
