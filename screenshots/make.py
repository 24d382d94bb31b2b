"""Makes every picture in this folder from real runs: ``python screenshots/make.py [--rows 260000] [--only PLACE]``.

The demo database goes through the wizard by keys, twice, so that there is something to go back to: live on an embedded
server in a workspace that is removed again.  Each place is recorded as SVG at 80x24 and 120x40; with ``rsvg-convert``
on the path (Debian: librsvg2-bin) as PNG too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from sdetl_engine import Workspace, load_settings
from sdetl_engine.demo import DEFAULT_ROWS, demo_dashboards, demo_source
from sdetl_tui.terminal import Terminal

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")

from textual.pilot import Pilot

from sdetl_tui.app import Form, SdetlApp, Session
from sdetl_tui.bridge import Bridge

FOLDER = Path(__file__).parent
SIZES = ((80, 24), (120, 40))


class Camera:
    """Takes pictures of one app, at both sizes."""

    def __init__(self, pilot: Pilot[int], only: str | None) -> None:
        self._pilot = pilot
        self._app = pilot.app
        self._only = only

    async def take(self, name: str) -> None:
        """One picture per size."""
        if self._only is not None and self._only != name:
            return
        for width, height in SIZES:
            await self._pilot.resize_terminal(width, height)
            await self._pilot.pause(0.6)
            path = FOLDER / f"{name}-{width}x{height}.svg"
            drawn = self._app.export_screenshot(title="sdetl")
            # Without it some renderers drop the blanks at the beginning of a text.
            path.write_text(drawn.replace("<svg ", '<svg xml:space="preserve" ', 1), encoding="utf-8")
            if shutil.which("rsvg-convert"):
                subprocess.run(["rsvg-convert", "-o", str(path.with_suffix(".png")), str(path)], check=True)
        await self._pilot.resize_terminal(*SIZES[0])
        await self._pilot.pause(0.3)


async def press(pilot: Pilot[int], *keys: str) -> None:
    """Keys one after the other, as a person gives them."""
    for key in keys:
        await pilot.press(key)
        await pilot.pause(0.2)


async def work(app: SdetlApp, pilot: Pilot[int]) -> None:
    """Wait until neither a stage nor a job is at work."""
    await pilot.pause(0.3)
    while app.bridge.is_busy or app.bridge.jobs:
        await pilot.pause(0.2)
    await pilot.pause(0.6)


async def first_run(app: SdetlApp, pilot: Pilot[int], camera: Camera) -> None:
    """From the start to the summary, with a picture of every place on the way."""
    await pilot.pause(1.0)
    await camera.take("start")
    await press(pilot, "enter", "enter")
    await work(app, pilot)
    await camera.take("preflight")
    for stage in ("backup", "profile"):
        await press(pilot, "enter", "enter")
        await work(app, pilot)
        await camera.take(stage)
    await press(pilot, "t")
    await camera.take("types")
    await press(pilot, "escape", "f")
    await camera.take("findings")
    await press(pilot, "enter")
    await camera.take("finding")
    await press(pilot, "escape", "escape", "f1")
    await camera.take("help")
    await press(pilot, "escape", "enter", "enter", "y")
    await work(app, pilot)
    await camera.take("clean")
    for stage in ("score", "canary"):
        await press(pilot, "enter", "enter")
        await work(app, pilot)
        await camera.take(stage)
    await press(pilot, "enter", "enter", "y")
    await work(app, pilot)
    await camera.take("migrate")
    await press(pilot, "enter", "enter")
    await work(app, pilot)
    await camera.take("validate")
    await press(pilot, "enter", "enter")
    await work(app, pilot)
    await switch(app, pilot, camera, "cutover")


async def switch(app: SdetlApp, pilot: Pilot[int], camera: Camera, name: str) -> None:
    """Agree to the cutover by typing, and go on to the summary."""
    await camera.take(f"{name}-before")
    await press(pilot, "enter", *"servicedesk")
    if name == "cutover":
        await camera.take("cutover-typed")
    await press(pilot, "enter", "enter")
    await work(app, pilot)
    if name == "cutover":
        await camera.take(name)
    await press(pilot, "enter", "enter")
    await work(app, pilot)
    if name == "cutover":
        await camera.take("report")
    await press(pilot, "enter")
    await work(app, pilot)
    if name != "cutover":
        await camera.take("summary")


async def second_run(app: SdetlApp, pilot: Pilot[int], camera: Camera) -> None:
    """Straight to the cutover, then the way back."""
    await pilot.pause(1.0)
    await press(pilot, "enter", "g", "y")
    await work(app, pilot)
    await press(pilot, "h", "enter")
    await work(app, pilot)
    await switch(app, pilot, camera, "second-cutover")
    await press(pilot, "v")
    await work(app, pilot)
    await camera.take("versions")
    await press(pilot, "r")
    await work(app, pilot)
    await camera.take("rollback-before")
    await press(pilot, "enter", "y")
    await work(app, pilot)
    await camera.take("rollback")
    await press(pilot, "d")
    await work(app, pilot)
    await camera.take("drill-before")
    await press(pilot, "enter", "y")
    await work(app, pilot)
    await camera.take("drill")


Scene = Callable[[SdetlApp, Pilot[int], Camera], Awaitable[None]]


async def record(space: Workspace, source: Path, scene: Scene, only: str | None) -> None:
    """One session of the wizard."""
    terminal = Terminal(ascii=False, colour=True, remote=False, multiplexed=False, theme="dark", mouse=True)
    dashboards = {"dashboards.directory": str(demo_dashboards())}
    session = Session(
        Bridge(space), terminal, Form(str(source), "embedded"), lambda plan: load_settings(plan=plan, extra=dashboards)
    )
    app = SdetlApp(session)
    try:
        async with app.run_test(size=SIZES[0]) as pilot:
            await scene(app, pilot, Camera(pilot, only))
    finally:
        app.bridge.close()


def main() -> None:
    """Run twice and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS)
    parser.add_argument("--only", help="take one picture only, e.g. findings")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sdetl-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        space = Workspace(Path(folder) / "w").prepare()
        source = demo_source(space.root / "demo", rows=options.rows)
        for scene in (first_run, second_run):
            asyncio.run(record(space, source, scene, options.only))


if __name__ == "__main__":
    main()
