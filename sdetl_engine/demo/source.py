"""A ServiceDesk database made to measure: the real tables and columns, the real proportions, the real dirt.

Everything in it is invented.  The same rows, seed and day make the same database, so that a finding can be
discussed; dates run up to ``today``, so that panels over the last 90 days show something.
"""

from __future__ import annotations

import dataclasses
import os
import random
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sdetl_engine.demo import words
from sdetl_engine.demo.tables import TABLES, column_names, create_statement
from sdetl_engine.errors import UsageError
from sdetl_engine.events import Reporter, SilentReporter

DEFAULT_ROWS = 260_000
DEFAULT_SEED = 20251019
_SHARES = {"tickets": 0.0411, "comments": 0.4056, "timesheets": 0.5292, "comment_quality": 0.0237}
_FIXED = {"comment_sentiment": 109, "cloud_team_roster": 48, "import_metadata": 16}
_WINDOW_DAYS = 270
_BATCH = 5000


@dataclasses.dataclass(frozen=True, slots=True)
class DemoFacts:
    """What was planted: rows per table, and how much of each kind of dirt."""

    path: Path
    rows: dict[str, int]
    slashed_dates: int
    empty_dates: int
    orphan_timesheets: int
    duplicate_timesheets: int
    future_dates: int
    hostile_titles: int


@dataclasses.dataclass(slots=True)
class _Planted:
    slashed_dates: int = 0
    empty_dates: int = 0
    orphan_timesheets: int = 0
    duplicate_timesheets: int = 0
    future_dates: int = 0
    hostile_titles: int = 0


def build_source(
    path: Path,
    *,
    rows: int = DEFAULT_ROWS,
    seed: int = DEFAULT_SEED,
    today: date | None = None,
    reporter: Reporter | None = None,
) -> DemoFacts:
    """Write the database to the new file ``path``; about ``rows`` rows.  Raises UsageError when the file exists."""
    if os.path.lexists(path):
        raise UsageError(f"{path} exists already; it is not overwritten", next_step="name another file, or remove it")
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    maker = _Maker(random.Random(seed), today or datetime.now(UTC).date(), rows)  # noqa: S311 - reproducible, not secret
    connection = sqlite3.connect(partial, isolation_level=None)
    try:
        counts = _fill(connection, maker, reporter or SilentReporter())
        connection.close()
        partial.chmod(0o600)
        os.rename(partial, path)
    except BaseException:
        connection.close()
        partial.unlink(missing_ok=True)
        raise
    return DemoFacts(path, counts, **dataclasses.asdict(maker.planted))


def _fill(connection: sqlite3.Connection, maker: _Maker, reporter: Reporter) -> dict[str, int]:
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    for table in TABLES:
        connection.execute(create_statement(table))
    counts = {}
    for table, rows in maker.tables():
        names = column_names(table)
        statement = f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(names))})'
        counts[table] = 0
        for batch in _batches(rows):
            connection.executemany(statement, batch)
            counts[table] += len(batch)
            reporter.progress("build the demo source", sum(counts.values()), maker.rows)
            reporter.check()
    connection.execute("COMMIT")
    return counts


def _batches(rows: Iterator[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    batch: list[tuple[object, ...]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


class _Maker:
    """Makes the rows.  One generator per table; each draws from the one seeded source of chance."""

    def __init__(self, chance: random.Random, today: date, rows: int) -> None:
        self.rows = rows
        self.planted = _Planted()
        self._chance = chance
        self._end = datetime(today.year, today.month, today.day, 17, 30)  # noqa: DTZ001 - the vendor writes local times
        self._tickets = max(40, round(rows * _SHARES["tickets"]))
        self._comments = max(60, round(rows * _SHARES["comments"]))
        self._timesheets = max(60, round(rows * _SHARES["timesheets"]))
        self._qualities = max(20, round(rows * _SHARES["comment_quality"]))
        self._first_ticket = 3_700_000
        self._first_comment = 8_100_000

    def tables(self) -> Iterator[tuple[str, Iterator[tuple[object, ...]]]]:
        """Every table with its rows, in the order they are written."""
        yield "tickets", self._make_tickets()
        yield "comments", self._make_comments()
        yield "timesheets", self._make_timesheets()
        yield "comment_quality", self._make_qualities()
        yield "comment_sentiment", self._make_sentiments()
        yield "cloud_team_roster", self._make_roster()
        yield "import_metadata", self._make_imports()

    def _moment(self, number: int, of: int) -> datetime:
        """Moments rise with the row number, as a system writes them, with some hours of noise."""
        share = number / max(1, of)
        seconds = share * _WINDOW_DAYS * 86_400 + self._chance.randint(-9_000, 9_000)
        return min(self._end, self._end - timedelta(days=_WINDOW_DAYS) + timedelta(seconds=max(0.0, seconds)))

    def _written(self, moment: datetime, number: int) -> str:
        """ISO, but a few per mille as somebody's spreadsheet wrote them; some only past the first 5000 rows."""
        if self._chance.random() < (0.003 if number > 5_000 else 0.0008):
            self.planted.slashed_dates += 1
            return f"{moment.day}/{moment.month}/{moment.year} {moment.hour}:{moment.minute:02d}"
        return moment.strftime("%Y-%m-%d %H:%M:%S")

    def _optional(self, moment: datetime | None, number: int) -> str | None:
        """A date that may be missing: NULL, or in a few cells the empty string."""
        if moment is None:
            if self._chance.random() < 0.02:
                self.planted.empty_dates += 1
                return ""
            return None
        return self._written(moment, number)

    def _make_tickets(self) -> Iterator[tuple[object, ...]]:
        for number in range(self._tickets):
            yield self._ticket(number)

    def _ticket(self, number: int) -> tuple[object, ...]:
        chance = self._chance
        created = self._moment(number, self._tickets)
        open_ = (self._end - created).days < 20 and chance.random() < 0.6
        status = chance.choice(words.OPEN_STATES) if open_ else chance.choices(words.CLOSED_STATES, (85, 10, 5))[0]
        hours = chance.lognormvariate(3.2, 1.1)
        resolved = None if open_ else min(self._end, created + timedelta(hours=hours))
        responded = min(self._end, created + timedelta(minutes=chance.lognormvariate(3.5, 1)))
        team = chance.choice(words.TEAMS)
        account = chance.randrange(len(words.ACCOUNTS))
        person, creator = chance.randrange(len(words.PEOPLE)), chance.randrange(len(words.PEOPLE))
        met = "yes" if hours < 72 else "no"
        closed = None if resolved is None else min(self._end, resolved + timedelta(hours=chance.random() * 40))
        is_change = chance.random() < 0.06
        planned = created + timedelta(days=chance.randint(2, 20)) if is_change else None
        values: dict[str, object] = {
            "TKT-Ticket ID": self._first_ticket + number,
            "TKT-Parent ID": float(self._first_ticket + chance.randrange(number + 1))
            if chance.random() < 0.04
            else None,
            "TKT-Customer Reference": f"REQ{chance.randrange(10**7):07d}" if chance.random() < 0.2 else "",
            "TKT-Created Time": self._written(created, number),
            "TKT-Month Created": created.strftime("%Y-%m"),
            "TKT-SLA": chance.choice(words.SLAS),
            "TKT-Account Id": float(1000 + account),
            "TKT-Account Name": words.ACCOUNTS[account],
            "TKT-Site Classification": chance.choice(("Gold", "Silver", "Bronze", "")),
            "TKT-Site Status": "Active",
            "TKT-Selcom Key": f"{account:06d}",
            "TKT-Title": self._title(number),
            "TKT-Description": chance.choice(words.DESCRIPTIONS),
            "TKT-Severity": chance.choices(("P1", "P2", "P3", "P4"), (2, 10, 60, 28))[0],
            "TKT-Status": status,
            "TKT-Assigned To Userid": 200 + person,
            "TKT-Assigned To User": words.PEOPLE[person],
            "TKT-Job#/Ref#": f"{chance.randrange(10**6):08d}" if chance.random() < 0.5 else None,
            "TKT-Team": team,
            "TKT-Modified Time": self._written(closed or responded, number),
            "TKT-Category": chance.choice(words.CATEGORIES),
            "TKT-Resolution/Change Type": None if open_ else chance.choice(words.RESOLUTIONS),
            "TKT-Root Cause Category": None if open_ else chance.choice((*words.ROOT_CAUSES, "")),
            "TKT-Created By Userid": 200 + creator,
            "TKT-Created By User": words.PEOPLE[creator],
            "TKT-Client Name": words.PEOPLE[chance.randrange(len(words.PEOPLE))],
            "TKT-Ticket Source": chance.choice(words.SOURCES),
            "TKT-Related CI Ref#": float(chance.randrange(90_000)) if chance.random() < 0.1 else None,
            "TKT-Related CI": chance.choice(words.MACHINES) if chance.random() < 0.1 else None,
            "TKT-Actual Response Date": self._optional(responded, number),
            "TKT-Actual Resolution Date": self._optional(resolved, number),
            "TKT-Response Met": "yes" if chance.random() < 0.94 else "no",
            "TKT-Resolution Met": met,
            "TKT-SLA Met": met if not open_ else None,
            "TKT-SLA Exempt": "no",
            "TKT-SLA Clock Status": "stopped" if not open_ else "running",
            "TKT-SLA Breach Reason": chance.choice(words.BREACHES) if met == "no" and not open_ else None,
            "TKT-QA Review Completed": chance.choice(("yes", "no", "")),
            "TKT-Closure Date": self._optional(closed, number),
            "TKT-Month Closed": closed.strftime("%Y-%m") if closed else None,
            "TKT-Solution": None if open_ else chance.choice(words.SOLUTIONS),
            "TKT-SLA Closure Date": self._optional(closed, number),
            "TKT-SLA Month Closed": closed.strftime("%Y-%m") if closed else None,
            "TKT-SLA Closed - This Month": "yes" if closed and (self._end - closed).days < 28 else "no",
            "TKT-SLA Closed - Last Month": "yes" if closed and 28 <= (self._end - closed).days < 58 else "no",
            "TKT-Actual SLA Achievement": f"{max(0, 100 - hours):.0f}%" if not open_ else None,
            "Chg-Risk": chance.choice(("low", "medium", "high")) if is_change else None,
            "Chg-Trigger": "planned" if is_change else None,
            "Chg-Type": chance.choice(("standard", "normal", "emergency")) if is_change else None,
            "Chg-Planned Start Date": self._optional(planned, number) if is_change else None,
            "Chg-Planned End Date": self._optional(planned + timedelta(hours=4), number) if planned else None,
            "Chg-Actual Start Date": self._optional(planned, number) if planned and planned < self._end else None,
            "Chg-Actual End Date": self._optional(planned + timedelta(hours=3), number)
            if planned and planned < self._end
            else None,
            "Chg-Approver": words.PEOPLE[person] if is_change else None,
            "Chg-Success": "yes" if planned and planned < self._end else None,
            "TKT-Is Template": "no",
            "TKT-Platform": chance.choice(words.PLATFORMS),
            "TKT-Group": team.partition(" - ")[0],
        }
        return tuple(values.get(name) for name in column_names("tickets"))

    def _title(self, number: int) -> str:
        """Mostly what people write; some with what breaks screens: markup, control codes, emoji, other scripts."""
        chance = self._chance
        title = f"{chance.choice(words.VERBS)} {chance.choice(words.THINGS)} {chance.choice(words.PLACES)}"
        if number % 97 == 5:
            self.planted.hostile_titles += 1
            return f"{title} {words.HOSTILE[(number // 97) % len(words.HOSTILE)]}"
        return title

    def _make_comments(self) -> Iterator[tuple[object, ...]]:
        chance = self._chance
        for number in range(self._comments):
            created = self._moment(number, self._comments)
            automatic = chance.random() < 0.61
            person = chance.randrange(len(words.PEOPLE))
            yield (
                self._first_comment + number,
                self._first_ticket + self._ticket_near(number, self._comments),
                chance.choice(words.AUTOMATIC if automatic else words.COMMENTS),
                1 if automatic else 200 + person,
                "Automation Service" if automatic else words.PEOPLE[person],
                "ticket",
                self._written(created, number),
                "Yes" if chance.random() < 0.0012 else None,
                "system" if automatic else chance.choice(("comment", "worknote", "solution")),
                chance.choice(words.TEAMS),
            )

    def _ticket_near(self, number: int, of: int) -> int:
        """A ticket that was young when the row was written."""
        place = int(number / max(1, of) * self._tickets)
        return min(self._tickets - 1, max(0, place - int(self._chance.expovariate(1 / (0.02 * self._tickets + 1)))))

    def _make_timesheets(self) -> Iterator[tuple[object, ...]]:
        duplicates = 0
        row: tuple[object, ...] = ()
        for number in range(self._timesheets):
            if row and number % 9_973 == 40 and duplicates < 12:
                duplicates += 1
                self.planted.duplicate_timesheets += 1
                yield row
                continue
            row = self._timesheet(number)
            yield row

    def _timesheet(self, number: int) -> tuple[object, ...]:
        chance = self._chance
        person, account = chance.randrange(len(words.PEOPLE)), chance.randrange(len(words.ACCOUNTS))
        day = self._moment(number, self._timesheets).replace(hour=0, minute=0, second=0)
        if number == self._timesheets // 2:
            self.planted.future_dates += 1
            day = (self._end + timedelta(days=270)).replace(hour=0, minute=0, second=0)
        orphan = chance.random() < 0.907
        without = orphan and chance.random() < 0.21
        if orphan:
            self.planted.orphan_timesheets += 1
        ticket = str(
            chance.randrange(1_000_000, 3_000_000) if orphan else self._first_ticket + chance.randrange(self._tickets)
        )
        start = chance.randrange(7, 18)
        name = words.PEOPLE[person]
        return (
            name,
            name.lower().replace(" ", "."),
            f"{chance.choice(words.VERBS)} {chance.choice(words.THINGS)}",
            chance.choice(words.DESCRIPTIONS),
            self._written(day, number),
            f"{start:02d}:{chance.choice((0, 15, 30, 45)):02d}",
            f"{start + 1:02d}:{chance.choice((0, 15, 30, 45)):02d}",
            chance.choice(("Billable", "Non-billable", "Internal")),
            chance.choice(words.CATEGORIES),
            float(chance.randrange(40)) if chance.random() < 0.3 else None,
            "",
            chance.randrange(1, 32) / 4,
            0 if without else chance.randrange(10_000, 99_999),
            "0" if without else ticket,
            100 + account % 7,
            f"Cost centre {100 + account % 7}",
            f"{account:06d}",
            words.ACCOUNTS[account],
            chance.choice(("NSW", "VIC", "QLD", "WA", "")),
            "no",
            chance.choice(words.TEAMS),
        )

    def _make_qualities(self) -> Iterator[tuple[object, ...]]:
        chance = self._chance
        for number in range(self._qualities):
            comment = number * self._comments // self._qualities
            scores = [max(1, min(5, round(chance.gauss(3.4, 0.9)))) for _ in range(4)]
            mean = sum(scores) / 4
            tier = "excellent" if mean >= 4.25 else "good" if mean >= 3.5 else "acceptable" if mean >= 2.5 else "poor"
            yield (
                str(self._first_comment + comment),
                str(self._first_ticket + self._ticket_near(comment, self._comments)),
                chance.choice(words.PEOPLE),
                chance.choice(words.TEAMS),
                "comment",
                self._written(self._moment(comment, self._comments), number),
                chance.choice(words.COMMENTS),
                *scores,
                mean,
                tier,
                chance.choice(('["update"]', '["question","update"]', "[]")),
                chance.choice(("", "[]", '["blame"]')),
                chance.choice(words.INTENTS),
                self._written(self._end - timedelta(days=3, minutes=number % 600), number),
            )

    def _make_sentiments(self) -> Iterator[tuple[object, ...]]:
        chance = self._chance
        for number in range(_FIXED["comment_sentiment"]):
            comment = number * self._comments // _FIXED["comment_sentiment"]
            yield (
                self._first_comment + comment,
                self._first_ticket + self._ticket_near(comment, self._comments),
                chance.choice(words.PEOPLE),
                chance.choice(words.TEAMS),
                "comment",
                self._moment(comment, self._comments).strftime("%Y-%m-%d %H:%M:%S"),
                chance.choice(words.COMMENTS),
                chance.choices(("positive", "neutral", "negative"), (30, 55, 15))[0],
                round(chance.uniform(0.5, 0.99), 3),
                chance.choice(words.INTENTS),
                "small-model",
                chance.randrange(80, 900),
                self._end.strftime("%Y-%m-%d %H:%M:%S"),
            )

    def _make_roster(self) -> Iterator[tuple[object, ...]]:
        for person in words.PEOPLE[: _FIXED["cloud_team_roster"]]:
            user = person.lower().replace(" ", ".")
            yield person, f"{user}@example.org", user

    def _make_imports(self) -> Iterator[tuple[object, ...]]:
        kinds: Sequence[str] = ("tickets", "comments", "timesheets", "comment_quality")
        for number in range(_FIXED["import_metadata"]):
            moment = self._end - timedelta(days=(_FIXED["import_metadata"] - number) * 15)
            kind = kinds[number % 4]
            yield (
                number + 1,
                kind,
                moment.strftime("%Y-%m-%d %H:%M:%S"),
                f"{kind}_{moment:%Y%m%d}.xlsx",
                self._tickets if kind == "tickets" else self._comments,
                (moment - timedelta(days=90)).strftime("%Y-%m-%d"),
                moment.strftime("%Y-%m-%d"),
                "" if number % 3 else "team = Cloud",
                None,
            )
