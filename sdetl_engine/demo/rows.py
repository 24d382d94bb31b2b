"""The rows of the demo's ServiceDesk database, table by table, with the dirt that such databases have.

Every generator draws from the one seeded source of chance of its ``Desk``, in the order in which tables are written.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar

from sdetl_engine.demo import words
from sdetl_engine.demo.tables import column_names

Row = tuple[object, ...]
_T = TypeVar("_T")
Values = dict[str, object]

_SHARES = {"tickets": 0.0411, "comments": 0.4056, "timesheets": 0.5292, "comment_quality": 0.0237}
_SENTIMENTS, _ROSTER, _IMPORTS = 109, 48, 16
_WINDOW_DAYS = 270
_FIRST_TICKET, _FIRST_COMMENT = 3_700_000, 8_100_000
_SAMPLE = 5000
"""A profiler that looks at so many rows only meets some of the dirt."""
_LATE_ONLY = frozenset({"TKT-SLA Closure Date", "comments.created_time"})
"""Columns whose foreign dates stand behind the first ``_SAMPLE`` rows only."""
_FIRST_SLASHED_ROW = 40
_ORPHANS, _WITHOUT_TICKET = 0.907, 0.21
_AUTOMATIC, _VISIBLE = 0.61, 0.0012


@dataclasses.dataclass(slots=True)
class Planted:
    """How much of each kind of dirt there is (cells, or rows)."""

    slashed_dates: dict[str, int] = dataclasses.field(default_factory=dict)
    """``31/12/2025 9:05`` by column; each such column holds one that settles the order of day and month."""
    empty_dates: int = 0
    orphan_timesheets: int = 0
    timesheets_without_ticket: int = 0
    duplicate_timesheets: int = 0
    future_timesheets: int = 0
    hostile_titles: int = 0
    automatic_comments: int = 0
    visible_comments: int = 0


class Desk:
    """An invented service desk: its size, its calendar up to ``today``, its chance, and the dirt that it left."""

    def __init__(self, seed: int, today: date, rows: int) -> None:
        self.planted = Planted()
        self.end = datetime(today.year, today.month, today.day, 17, 30)  # noqa: DTZ001 - the vendor writes local times
        self.tickets = max(40, round(rows * _SHARES["tickets"]))
        self.comments = max(60, round(rows * _SHARES["comments"]))
        self.timesheets = max(60, round(rows * _SHARES["timesheets"]))
        self.qualities = max(20, round(rows * _SHARES["comment_quality"]))
        self.chance = random.Random(seed)  # noqa: S311 - to be repeatable, not secret
        self._random = self.chance.random

    def hit(self, share: float) -> bool:
        """True in that share of cases."""
        return self._random() < share

    def below(self, limit: int) -> int:
        """A whole number from 0 up to, but not including, the limit."""
        return int(self._random() * limit)

    def pick(self, choices: Sequence[_T]) -> _T:
        """One of them."""
        return choices[int(self._random() * len(choices))]

    def moment(self, number: int, of: int) -> datetime:
        """Moments rise with the row number, as a system writes them, with some hours of noise."""
        seconds = number / of * _WINDOW_DAYS * 86_400 + self.below(18_000) - 9_000
        return min(self.end, self.end - timedelta(days=_WINDOW_DAYS) + timedelta(seconds=max(0.0, seconds)))

    def ticket_near(self, number: int, of: int) -> int:
        """The id of a ticket that was young when the row was written."""
        place = int(number / of * self.tickets) - int(self.chance.expovariate(1 / (0.02 * self.tickets + 1)))
        return _FIRST_TICKET + min(self.tickets - 1, max(0, place))

    def written(self, column: str, moment: datetime, number: int) -> str:
        """ISO, but a few per mille as somebody's spreadsheet wrote them: ``31/12/2025 9:05``."""
        slashed = self.planted.slashed_dates
        late = column in _LATE_ONLY
        if column in slashed:
            foreign = self.hit(0.003 if number > _SAMPLE else 0 if late else 0.0008)
        else:
            # The first one has a day that can be no month: it settles how the others are meant.
            foreign = moment.day > 12 and number >= (_SAMPLE if late else _FIRST_SLASHED_ROW)
        if not foreign:
            return moment.isoformat(" ", "seconds")
        slashed[column] = slashed.get(column, 0) + 1
        return f"{moment.day}/{moment.month}/{moment.year} {moment.hour}:{moment.minute:02d}"

    def optional(self, column: str, moment: datetime | None, number: int) -> str | None:
        """A date that may be missing: NULL, or in some cells the empty string."""
        if moment is not None:
            return self.written(column, moment, number)
        if not self.hit(0.05):
            return None
        self.planted.empty_dates += 1
        return ""


def every_table(desk: Desk) -> Iterator[tuple[str, Iterator[Row]]]:
    """Every table with its rows, in the order they are written."""
    yield "tickets", _tickets(desk)
    yield "comments", _comments(desk)
    yield "timesheets", _timesheets(desk)
    yield "comment_quality", _qualities(desk)
    yield "comment_sentiment", _sentiments(desk)
    yield "cloud_team_roster", _roster()
    yield "import_metadata", _imports(desk)


@dataclasses.dataclass(frozen=True, slots=True)
class _Life:
    """What became of a ticket; ``resolved`` and ``closed`` are None while it is open."""

    created: datetime
    responded: datetime
    resolved: datetime | None
    closed: datetime | None
    status: str
    hours: float

    @property
    def met(self) -> str:
        return "yes" if self.hours < 72 else "no"


def _tickets(desk: Desk) -> Iterator[Row]:
    names = column_names("tickets")
    for number in range(desk.tickets):
        life = _life(desk, number)
        values = {
            **_identity(desk, number, life),
            **_people(desk),
            **_kind(desk, life),
            **_service_level(desk, number, life),
            **_closure(desk, number, life),
            **(_change(desk, number, life.created) if desk.hit(0.06) else {}),
        }
        yield tuple(map(values.get, names))


def _life(desk: Desk, number: int) -> _Life:
    end, chance = desk.end, desk.chance
    created = desk.moment(number, desk.tickets)
    is_open = (end - created).days < 20 and desk.hit(0.6)
    hours = chance.lognormvariate(3.2, 1.1)
    responded = min(end, created + timedelta(minutes=chance.lognormvariate(3.5, 1)))
    if is_open:
        return _Life(created, responded, None, None, desk.pick(words.OPEN_STATES), hours)
    resolved = min(end, created + timedelta(hours=hours))
    closed = min(end, resolved + timedelta(hours=40 * chance.random()))
    return _Life(created, responded, resolved, closed, chance.choices(words.CLOSED_STATES, (85, 10, 5))[0], hours)


def _identity(desk: Desk, number: int, life: _Life) -> Values:
    account = desk.below(len(words.ACCOUNTS))
    return {
        "TKT-Ticket ID": _FIRST_TICKET + number,
        "TKT-Parent ID": float(_FIRST_TICKET + desk.below(number + 1)) if desk.hit(0.04) else None,
        "TKT-Customer Reference": f"REQ{desk.below(10**7):07d}" if desk.hit(0.2) else "",
        "TKT-Created Time": desk.written("TKT-Created Time", life.created, number),
        "TKT-Month Created": life.created.strftime("%Y-%m"),
        "TKT-Account Id": float(1000 + account) if desk.hit(0.99) else None,
        "TKT-Account Name": words.ACCOUNTS[account],
        "TKT-Site Classification": desk.pick(("Gold", "Silver", "Bronze", "")),
        "TKT-Site Status": "Active",
        "TKT-Selcom Key": f"{account:06d}",
        "TKT-Title": _title(desk, number),
        "TKT-Description": desk.pick(words.DESCRIPTIONS),
        "TKT-Job#/Ref#": f"{desk.below(10**6):08d}" if desk.hit(0.5) else None,
        "TKT-Modified Time": desk.written("TKT-Modified Time", life.closed or life.responded, number),
        "TKT-Related CI Ref#": float(desk.below(90_000)) if desk.hit(0.1) else None,
        "TKT-Related CI": desk.pick(words.MACHINES) if desk.hit(0.1) else None,
        "TKT-Is Template": "no",
    }


def _title(desk: Desk, number: int) -> str:
    """Mostly what people write; some with what breaks screens: markup, control codes, emoji, other scripts."""
    title = f"{desk.pick(words.VERBS)} {desk.pick(words.THINGS)} {desk.pick(words.PLACES)}"
    if number % 97 != 5:
        return title
    desk.planted.hostile_titles += 1
    return f"{title} {words.HOSTILE[number // 97 % len(words.HOSTILE)]}"


def _people(desk: Desk) -> Values:
    person, creator = desk.below(len(words.PEOPLE)), desk.below(len(words.PEOPLE))
    team = desk.pick(words.TEAMS)
    return {
        "TKT-Assigned To Userid": 200 + person,
        "TKT-Assigned To User": words.PEOPLE[person],
        "TKT-Created By Userid": 200 + creator,
        "TKT-Created By User": words.PEOPLE[creator],
        "TKT-Client Name": desk.pick(words.PEOPLE),
        "TKT-Team": team,
        "TKT-Group": team.partition(" - ")[0],
    }


def _kind(desk: Desk, life: _Life) -> Values:
    done = life.resolved is not None
    return {
        "TKT-Severity": desk.chance.choices(("P1", "P2", "P3", "P4"), (2, 10, 60, 28))[0],
        "TKT-Status": life.status,
        "TKT-Category": desk.pick(words.CATEGORIES),
        "TKT-Resolution/Change Type": desk.pick(words.RESOLUTIONS) if done else None,
        "TKT-Root Cause Category": desk.pick((*words.ROOT_CAUSES, "")) if done else None,
        "TKT-Ticket Source": desk.pick(words.SOURCES),
        "TKT-Platform": desk.pick(words.PLATFORMS),
        "TKT-Solution": desk.pick(words.SOLUTIONS) if done else None,
        "TKT-QA Review Completed": desk.pick(("yes", "no", "")),
    }


def _service_level(desk: Desk, number: int, life: _Life) -> Values:
    done = life.resolved is not None
    late = done and life.met == "no"
    return {
        "TKT-SLA": desk.pick(words.SLAS),
        "TKT-Actual Response Date": desk.optional("TKT-Actual Response Date", life.responded, number),
        "TKT-Actual Resolution Date": desk.optional("TKT-Actual Resolution Date", life.resolved, number),
        "TKT-Response Met": "yes" if desk.hit(0.94) else "no",
        "TKT-Resolution Met": life.met,
        "TKT-SLA Met": life.met if done else None,
        "TKT-SLA Exempt": "no",
        "TKT-Mitigated Reason": desk.pick(words.BREACHES) if late and desk.hit(0.1) else None,
        "TKT-SLA Clock Status": "stopped" if done else "running",
        "TKT-SLA Breach Reason": desk.pick(words.BREACHES) if late else None,
        "TKT-SLA Breach Comment": desk.pick(words.COMMENTS) if late and desk.hit(0.3) else None,
        "TKT-Actual SLA Achievement": f"{max(0, 100 - life.hours):.0f}%" if done else None,
    }


def _closure(desk: Desk, number: int, life: _Life) -> Values:
    closed = life.closed
    days = (desk.end - closed).days if closed is not None else None
    month = closed.strftime("%Y-%m") if closed is not None else None
    return {
        "TKT-Closure Date": desk.optional("TKT-Closure Date", closed, number),
        "TKT-Month Closed": month,
        "TKT-SLA Closure Date": desk.optional("TKT-SLA Closure Date", closed, number),
        "TKT-SLA Month Closed": month,
        "TKT-SLA Closed - This Month": "yes" if days is not None and days < 28 else "no",
        "TKT-SLA Closed - Last Month": "yes" if days is not None and 28 <= days < 58 else "no",
    }


def _change(desk: Desk, number: int, created: datetime) -> Values:
    planned = created + timedelta(days=2 + desk.below(19))
    begun = planned + timedelta(minutes=desk.below(50)) if planned < desk.end - timedelta(hours=6) else None
    dates = {
        "Chg-Planned Start Date": planned,
        "Chg-Planned End Date": planned + timedelta(hours=4),
        "Chg-Actual Start Date": begun,
        "Chg-Actual End Date": begun + timedelta(hours=3) if begun is not None else None,
    }
    return {
        "Chg-Risk": desk.pick(("low", "medium", "high")),
        "Chg-Trigger": "planned",
        "Chg-Type": desk.pick(("standard", "normal", "emergency")),
        **{name: desk.optional(name, moment, number) for name, moment in dates.items()},
        "Chg-Approver": desk.pick(words.PEOPLE),
        "Chg-Success": None if begun is None else desk.pick(("yes", "yes", "yes", "no")),
    }


def _comments(desk: Desk) -> Iterator[Row]:
    for number in range(desk.comments):
        automatic, visible = desk.hit(_AUTOMATIC), desk.hit(_VISIBLE)
        desk.planted.automatic_comments += automatic
        desk.planted.visible_comments += visible
        person = desk.below(len(words.PEOPLE))
        yield (
            _FIRST_COMMENT + number,
            desk.ticket_near(number, desk.comments),
            desk.pick(words.AUTOMATIC if automatic else words.COMMENTS),
            1 if automatic else 200 + person,
            "Automation Service" if automatic else words.PEOPLE[person],
            "ticket",
            desk.written("comments.created_time", desk.moment(number, desk.comments), number),
            "Yes" if visible else None,
            "system" if automatic else desk.pick(("comment", "worknote", "solution")),
            desk.pick(words.TEAMS),
        )


def _timesheets(desk: Desk) -> Iterator[Row]:
    """Bookings, a few of them twice, one of them far ahead."""
    row: Row = ()
    for number in range(desk.timesheets):
        if number % 12_000 == 40:
            desk.planted.duplicate_timesheets += 1
        else:
            row = _timesheet(desk, number)
        yield row


def _timesheet(desk: Desk, number: int) -> Row:
    day = desk.moment(number, desk.timesheets).replace(hour=0, minute=0, second=0, microsecond=0)
    if number == desk.timesheets // 2:
        desk.planted.future_timesheets += 1
        day = desk.end.replace(hour=0, minute=0) + timedelta(days=270)
    name = desk.pick(words.PEOPLE)
    account = desk.below(len(words.ACCOUNTS))
    start = 7 + desk.below(11)
    crm, code = _booked_on(desk)
    return (
        name,
        words.user_name(name),
        f"{desk.pick(words.VERBS)} {desk.pick(words.THINGS)}",
        desk.pick(words.DESCRIPTIONS),
        desk.written("TS-Date", day, number),
        f"{start:02d}:{desk.pick(words.QUARTERS)}",
        f"{start + 1:02d}:{desk.pick(words.QUARTERS)}",
        desk.pick(("Billable", "Non-billable", "Internal")),
        desk.pick(words.CATEGORIES),
        float(desk.below(40)) if desk.hit(0.3) else None,
        "",
        (1 + desk.below(31)) / 4,
        crm,
        code,
        100 + account % 7,
        f"Cost centre {100 + account % 7}",
        f"{account:06d}",
        words.ACCOUNTS[account],
        desk.pick(("NSW", "VIC", "QLD", "WA", "")),
        "no",
        desk.pick(words.TEAMS),
    )


def _booked_on(desk: Desk) -> tuple[int, str]:
    """CRM id and ticket of a booking: mostly other teams' tickets, which are not in the file, or none at all."""
    if not desk.hit(_ORPHANS):
        return 10_000 + desk.below(90_000), str(_FIRST_TICKET + desk.below(desk.tickets))
    desk.planted.orphan_timesheets += 1
    if desk.hit(_WITHOUT_TICKET):
        desk.planted.timesheets_without_ticket += 1
        return 0, "0"
    return 10_000 + desk.below(90_000), str(1_000_000 + desk.below(2_000_000))


def _qualities(desk: Desk) -> Iterator[Row]:
    for number in range(desk.qualities):
        comment = number * desk.comments // desk.qualities
        scores = [max(1, min(5, round(desk.chance.gauss(3.4, 0.9)))) for _ in range(4)]
        mean = sum(scores) / 4
        analysed = desk.end - timedelta(days=3, minutes=number % 600)
        yield (
            str(_FIRST_COMMENT + comment),
            str(desk.ticket_near(comment, desk.comments)),
            desk.pick(words.PEOPLE),
            desk.pick(words.TEAMS),
            "comment",
            desk.written("comment_quality.created_time", desk.moment(comment, desk.comments), number),
            desk.pick(words.COMMENTS),
            *scores,
            mean,
            "excellent" if mean >= 4.25 else "good" if mean >= 3.5 else "acceptable" if mean >= 2.5 else "poor",
            desk.pick(('["update"]', '["question","update"]', "[]")),
            desk.pick(("", "[]", '["blame"]')),
            desk.pick(words.INTENTS),
            desk.written("comment_quality.analysis_timestamp", analysed, number),
        )


def _sentiments(desk: Desk) -> Iterator[Row]:
    for number in range(_SENTIMENTS):
        comment = number * desk.comments // _SENTIMENTS
        yield (
            _FIRST_COMMENT + comment,
            desk.ticket_near(comment, desk.comments),
            desk.pick(words.PEOPLE),
            desk.pick(words.TEAMS),
            "comment",
            desk.moment(comment, desk.comments).isoformat(" ", "seconds"),
            desk.pick(words.COMMENTS),
            desk.chance.choices(("positive", "neutral", "negative"), (30, 55, 15))[0],
            round(0.5 + desk.chance.random() * 0.49, 3),
            desk.pick(words.INTENTS),
            "small-model",
            80 + desk.below(820),
            desk.end.isoformat(" ", "seconds"),
        )


def _roster() -> Iterator[Row]:
    for name in words.PEOPLE[:_ROSTER]:
        yield name, f"{words.user_name(name)}@example.org", words.user_name(name)


def _imports(desk: Desk) -> Iterator[Row]:
    kinds = {
        "tickets": desk.tickets,
        "comments": desk.comments,
        "timesheets": desk.timesheets,
        "comment_quality": desk.qualities,
    }
    for number in range(_IMPORTS):
        kind = tuple(kinds)[number % len(kinds)]
        moment = desk.end - timedelta(days=(_IMPORTS - number) * 15)
        yield (
            number + 1,
            kind,
            moment.isoformat(" ", "seconds"),
            f"{kind}_{moment:%Y%m%d}.xlsx",
            kinds[kind],
            (moment - timedelta(days=90)).strftime("%Y-%m-%d"),
            moment.strftime("%Y-%m-%d"),
            "" if number % 3 else "team = Cloud",
            None,
        )
