"""Names and cells that have harmed screens, taken through a real run and shown at every place of the wizard."""

from __future__ import annotations

import contextlib
import sqlite3
import unicodedata
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sdetl_engine import Choice, Decision, Runner, Severity, Stage, Workspace, load_settings, start_run
from sdetl_tui.app import Form, SdetlApp, Session
from sdetl_tui.blocks import Table
from sdetl_tui.bridge import Bridge
from sdetl_tui.export import told
from sdetl_tui.widgets.paged import Rows
from sdetl_tui.wizard import Place
from tests.conftest import Server
from tests.wizard.conftest import ASSIGNMENTS, ByHand, Hands
from tests.wizard.hostile import HOSTILE

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_CELLS = tuple(text for text in HOSTILE if "\ud800" not in text)  # no SQLite text can hold half a pair
_NAMES = tuple(text.replace("\x00", "") for text in _CELLS)
_OPENED = 5
"""Rows of a table that are opened on the screen, evenly spread; all of them are looked at as text."""
_LONG = "[@click=app.exit]" + "\x1b]0;x\x07\u202e" * 150_000
"""About a megabyte of it."""


@pytest.fixture(scope="module")
def hostile_run(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A run over hostile names and cells as the real engine left it: cut over, nothing at work."""
    folder = tmp_path_factory.mktemp("hostile")
    database = server.create_database()
    runner = start_run(
        Workspace(folder / "w"), _build(folder / "source.db"), database, load_settings(assignments=ASSIGNMENTS)
    )
    try:
        with runner.deployment as run:
            runner.run(Stage.PROFILE)
            for finding in runner.record(Stage.PROFILE).findings:
                if finding.severity is Severity.HALT and finding.is_open:
                    run.decide(Decision(finding.rule, Choice.LOAD_AS_TEXT, _NAMES[0], finding.table, finding.column))
            run.agreed = True
            outcome = runner.run(Stage.CUTOVER)
            assert outcome.error is None, outcome.error
            yield runner
    finally:
        server.drop_database(database)


def _build(path: Path) -> Path:
    """Every other name is a table's and the one after it a column's; three columns hold what they are not declared as."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for table, column in zip(_NAMES[::2], (*_NAMES[1::2], "last"), strict=False):
            name = _quoted(table)
            connection.execute(
                f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {_quoted(column)} TEXT, at TIMESTAMP, n INTEGER)"
            )
            rows = [(cell, f"{1 + i}/12/2024 9:00" if i % 4 else cell, cell) for i, cell in enumerate(_CELLS)]
            rows += [(_LONG, "2024-12-01", "1")] + [(" twice ", "2024-12-02", "2")] * 2
            connection.executemany(f"INSERT INTO {name} VALUES (NULL, ?, ?, ?)", rows)
        connection.commit()
    return path


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextlib.asynccontextmanager
async def wizard_over(runner: Runner, folder: Path, size: tuple[int, int]) -> AsyncIterator[Hands]:
    """The wizard over that run."""
    bridge = Bridge(Workspace(folder).prepare())
    bridge.take(runner)
    form = Form(str(runner.deployment.source))
    terminal = ByHand(False, True, False, False, "dark", True)
    app = SdetlApp(Session(bridge, terminal, form, lambda plan: load_settings(assignments=ASSIGNMENTS)))
    app.animation_level = "none"
    async with app.run_test(size=size) as pilot:
        operator = Hands(app, pilot)
        await operator.settle()
        yield operator


def unseen_in(text: str) -> list[str]:
    """Control, bidi and zero-width characters of it, and line breaks."""
    return [c for c in text if unicodedata.category(c) in _UNSEEN]


def assert_harmless(operator: Hands, where: object) -> None:
    """The wizard is there, and all it sends is text: no control or invisible character, nothing that can be clicked."""
    assert operator.app.is_running, where
    assert operator.app.defect is None, where
    for strip in operator.app.screen._compositor.render_strips():
        for segment in strip:
            assert not unseen_in(segment.text), (where, segment.text)
            assert segment.style is None or "@click" not in segment.style.meta, (where, segment.text)
            assert segment.style is None or segment.style.link is None, (where, segment.text)


@pytest.mark.parametrize("place", [place for place in Place if place is not Place.START])
async def test_every_place_and_its_rows_are_harmless(hostile_run: Runner, tmp_path: Path, place: Place) -> None:
    async with wizard_over(hostile_run, tmp_path, (120, 40)) as operator:
        operator.app.go(place)
        await operator.settle()
        assert_harmless(operator, place)
        screen = operator.app.place_screen
        assert screen is not None
        assert screen.place is place
        for table in (block for block in screen.blocks() if isinstance(block, Table)):
            for row in table.rows:
                for text in told(screen.detail(table.name, row.key)):
                    assert not unseen_in(text), (place, table.name, row.key)
        for rows in screen.query(Rows):
            rows.focus()
            for number in range(0, rows.row_count, -(-rows.row_count // _OPENED)):
                rows.move_cursor(row=number)
                await operator.settle()
                assert_harmless(operator, (place, number, "beside the table"))
                await operator.press("enter")
                assert_harmless(operator, (place, number))
                if operator.app.screen is not screen:
                    await operator.press("escape")


async def test_what_is_harmful_stands_there_to_be_seen(hostile_run: Runner, tmp_path: Path) -> None:
    async with wizard_over(hostile_run, tmp_path, (200, 60)) as operator:
        operator.app.go(Place.FINDINGS)
        await operator.settle()
        assert "[@click=app.exit]x[/]" in operator.shown
