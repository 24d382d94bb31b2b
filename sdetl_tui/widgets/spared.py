"""Coming back to a screen without styling it anew."""

from __future__ import annotations

from typing import TypeVar

from textual.events import Event, ScreenResume, ScreenSuspend
from textual.screen import Screen

Result = TypeVar("Result")


class SparedScreen(Screen[Result]):
    """A screen that is shown again and again.  Textual styles all its widgets each time, which is most of the time that
    going somewhere takes: it is spared where nothing that styles depend on has changed since the screen was left."""

    def __init__(self) -> None:
        super().__init__()
        self._styled_for: object = None

    async def on_event(self, event: Event) -> None:
        """Compare what styles depend on, between leaving and coming back."""
        depends_on = (self.app.theme, self.app.classes, self.app.size, self.app.app_focus)
        if isinstance(event, ScreenSuspend):
            self._styled_for = depends_on
        elif isinstance(event, ScreenResume) and depends_on == self._styled_for:
            event.refresh_styles = False
        await super().on_event(event)
