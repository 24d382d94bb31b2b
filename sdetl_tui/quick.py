"""Keys are answered while the engine works in the same process: what that needs of the interpreter."""

from __future__ import annotations

import gc
import sys

_SWITCH_SECONDS = 0.0005


def share_evenly() -> None:
    """Let the screens' thread have its turn soon.

    Answering a key takes some twenty turns of the event loop, each of which lets the interpreter go; with Python's 5 ms a
    busy engine would keep it for a tenth of a second in all.  Where only one thread wants it, nothing is switched.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)


def forget_what_stays() -> None:
    """Take what is in memory now out of the collector's rounds: modules and widgets that stay, looked through for a tenth
    of a second each time, while a key waits.  Cheap; what of it becomes garbage later is not found any more."""
    gc.freeze()
