"""The terminal's keys.  Textual looks ten times a second whether a lone Esc was all there is; this driver looks in time.
And one key is through with what it does before the next is pressed, however close together they arrive."""

from __future__ import annotations

import os
import selectors
import threading
from codecs import getincrementaldecoder
from typing import Any

from textual._xterm_parser import XTermParser
from textual.app import App
from textual.constants import ESCAPE_DELAY
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Key
from textual.message import Message
from textual.widgets import Input

_IDLE_SECONDS = 0.1
_READ_BYTES = 4096
_PATIENCE_SECONDS = 0.25


class KeyDone(Message):
    """Follows a key on its way: once down to where the focus was, then up again to the app (``is_back``)."""

    def __init__(self, done: threading.Event, *, is_back: bool = False) -> None:
        super().__init__()
        self.done = done
        self.is_back = is_back

    def follow(self, app: App[Any]) -> None:
        """Arrived at the app: on to where the key went, or, back from there, tell when its effect is drawn."""
        if self.is_back:
            app.screen.call_after_refresh(self.done.set)
        else:
            (app.focused or app.screen).post_message(KeyDone(self.done, is_back=True))


class Keyboard(LinuxDriver):
    """Textual's driver with two differences.

    An Esc is known as one after ``ESCDELAY``, where Textual's own takes a tenth of a second whatever that says.  And keys
    that a slow line delivers together do what they would have done one by one: Textual gives letters to the field that has
    the focus before the key ahead of them has moved it, so that of "/date" the search would open and the rest be commands.
    """

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._last_done = threading.Event()
        self._last_done.set()

    def process_message(self, message: Message) -> None:
        """Pass on what the terminal sent; a key only when the one before it is through, or takes too long."""
        if not isinstance(message, Key):
            super().process_message(message)
            return
        self._last_done.wait(_PATIENCE_SECONDS)
        is_letter_of_a_text = message.is_printable and isinstance(self._app.focused, Input)
        super().process_message(message)
        if not is_letter_of_a_text:
            self._last_done = threading.Event()
            super().process_message(KeyDone(self._last_done))

    def run_input_thread(self) -> None:
        """Read keys and pass them on, until the app ends."""
        parser = XTermParser()
        decode = getincrementaldecoder("utf-8")().decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            wait = _IDLE_SECONDS
            while not self.exit_event.is_set():
                ready = bool(selector.select(wait))
                raw = os.read(self.fileno, _READ_BYTES) if ready else b""
                if ready and not raw:
                    return  # the terminal is gone: nothing comes from it any more
                text = decode(raw)
                for message in (*(parser.feed(text) if text else ()), *parser.tick()):
                    self.process_message(message)
                wait = ESCAPE_DELAY if ready else _IDLE_SECONDS
