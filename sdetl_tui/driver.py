"""The terminal's keys.  Textual looks ten times a second whether a lone Esc was all there is; this driver looks in time."""

from __future__ import annotations

import os
import selectors
from codecs import getincrementaldecoder

from textual._xterm_parser import XTermParser
from textual.constants import ESCAPE_DELAY
from textual.drivers.linux_driver import LinuxDriver

_IDLE_SECONDS = 0.1
_READ_BYTES = 4096


class Keyboard(LinuxDriver):
    """Textual's driver with an Esc that is known as one after ``ESCDELAY``, where Textual's own takes a tenth of a second
    whatever that says."""

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
