"""One real small run for all screens, and an app over a replay of it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from textual.events import Key
from textual.pilot import Pilot

from sdetl_engine import (
    Choice,
    Decision,
    Stage,
    StageRecord,
    Status,
    Workspace,
    load_settings,
    start_run,
)
from sdetl_engine.demo import build_source, demo_dashboards
from sdetl_tui.app import Form, SdetlApp, Session
from sdetl_tui.bridge import Bridge
from sdetl_tui.terminal import Terminal
from tests.conftest import Server
from tests.wizard.recorded import Face, Recorded, Replay

ASSIGNMENTS = ("health.start_free_bytes=0", "health.min_free_bytes=0", "profile.sample_rows=500")
# A column that halts until its mark is declared, as in the incident log of the real data.
_VISITS = """
CREATE TABLE visits (id INTEGER PRIMARY KEY, at TIMESTAMP, note TEXT);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
INSERT INTO visits SELECT i, CASE WHEN i % 3 = 0 THEN '?' ELSE printf('%d/12/2024 9:%02d', 1 + i % 28, i % 60) END,
  'note [' || i || '] of [@click=app.exit]x[/]' FROM n;
"""
_CHARACTERS = {"space": " ", "question_mark": "?", "underscore": "_", "full_stop": ".", "comma": ",", "slash": "/"}
MARK = Decision("BREAKER-DATES", Choice.MARK_MISSING, "the form writes ? for unknown", "visits", "at", "?")


@pytest.fixture(scope="session")
def recorded(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """The demo's dirt and a column that halts, taken through all ten stages by the real engine."""
    folder = tmp_path_factory.mktemp("recorded")
    source = build_source(folder / "servicedesk.db", rows=1200, today=date(2025, 10, 19)).path
    with contextlib.closing(sqlite3.connect(source)) as connection:
        connection.executescript(_VISITS)
    database = server.create_database()
    settings = load_settings(assignments=ASSIGNMENTS, extra={"dashboards.directory": str(demo_dashboards())})
    runner = start_run(Workspace(folder / "w"), source, database, settings)
    try:
        with runner.deployment as run:
            runner.run(Stage.PROFILE)
            first = _undecided(runner.record(Stage.PROFILE))
            assert first.status is Status.HALTED
            run.decide(MARK)
            run.agreed = True
            outcome = runner.run()
            assert outcome.error is None, outcome.error
            yield Recorded(run, first, {r.stage: _undecided(r) for r in runner.records})
    finally:
        server.drop_database(database)


def _undecided(record: StageRecord) -> StageRecord:
    findings = tuple(dataclasses.replace(f, decision=None) for f in record.findings)
    return dataclasses.replace(record, findings=findings)


@dataclasses.dataclass(frozen=True, slots=True)
class Hands:
    """An app under test: keys go in, what stands on the screen comes out."""

    app: SdetlApp
    pilot: Pilot[int]

    async def press(self, *keys: str) -> None:
        """Press keys, and let the wizard look at the engine.

        Not ``pilot.press``: that waits for an idle process, which takes seconds where other work is going on.
        """
        for key in keys:
            await self._until_buttons_listen()
            character = key if len(key) == 1 else _CHARACTERS.get(key)
            self.app.post_message(Key(key, character))
            await self._hop()
        await self.settle()

    async def type(self, text: str) -> None:
        """Type a text."""
        names = {character: name for name, character in _CHARACTERS.items()}
        await self.press(*(names.get(c, c) for c in text))

    async def settle(self) -> None:
        """Until jobs are done and what they found is drawn."""
        for _ in range(500):
            self.app._beat()
            await self._hop()
            if not self.app.bridge.jobs:
                break
            await asyncio.sleep(0.02)
        self.app._beat()
        await self._hop()

    async def _until_buttons_listen(self) -> None:
        """A button that was just pressed takes no second press for a fifth of a second."""
        while self.app.is_running and self.app.focused is not None and self.app.focused.has_class("-active"):
            await asyncio.sleep(0.02)

    async def _hop(self) -> None:
        """Messages lead to messages: let a few generations of them be worked off."""
        for _ in range(3):
            if self.app.is_running:
                await self.pilot.pause(0)

    @property
    def lines(self) -> list[str]:
        """The screen as lines of text."""
        return [strip.text for strip in self.app.screen._compositor.render_strips()]

    @property
    def shown(self) -> str:
        """The screen as text."""
        return "\n".join(self.lines)

    @property
    def words(self) -> str:
        """The screen as words: however lines were broken."""
        return " ".join(self.shown.split())


@dataclasses.dataclass(frozen=True, slots=True)
class Seated(Hands):
    """An app over a replay."""

    replay: Replay
    face: Face


@dataclasses.dataclass(frozen=True, slots=True)
class ByHand(Terminal):
    """Looks at the engine when the test says so."""

    @property
    def poll_seconds(self) -> float:
        return 3600.0


Seat = Callable[..., contextlib.AbstractAsyncContextManager[Seated]]


@pytest.fixture
def seat(recorded: Recorded, tmp_path: Path) -> Seat:
    """``async with seat(finished=Stage.SCORE, size=(80, 24)) as operator``: the wizard over a replay."""

    @contextlib.asynccontextmanager
    async def opened(
        finished: Stage | None = None,
        *,
        size: tuple[int, int] = (80, 24),
        begun: bool = True,
        holds: bool = False,
        ascii_only: bool = False,
        form: Form | None = None,
        face: Face | None = None,
        prepare: Callable[[Replay], None] = lambda replay: None,
        **modes: bool,
    ) -> AsyncIterator[Seated]:
        face = face or Face(recorded)
        face.replay = Replay(recorded, finished, holds=holds)
        prepare(face.replay)
        bridge = Bridge(Workspace(tmp_path / "w").prepare(), face=face, **modes)
        if begun:
            bridge.take(face.replay.as_runner())
        terminal = ByHand(ascii_only, True, False, False, "dark", True)
        answers = form or Form(str(recorded.deployment.source), "host=127.0.0.1 dbname=none connect_timeout=1")
        app = SdetlApp(Session(bridge, terminal, answers, lambda plan: load_settings(assignments=ASSIGNMENTS)))
        app.animation_level = "none"
        async with app.run_test(size=size) as pilot:
            seated = Seated(app, pilot, face.replay, face)
            await seated.settle()
            yield seated

    return opened
