"""The first lines of sdetl that run: Ctrl-C while the rest is still being imported ends in a word, not in a traceback."""

from __future__ import annotations

import sys

_CANCELLED = 130
"""``ExitCode.CANCELLED``, before there is one."""


def main() -> None:
    """Entry point of the ``sdetl`` command."""
    try:
        import os
        import signal

        def leave(number: int, frame: object) -> None:
            # Raised as an exception in the middle of somebody's import, it could be swallowed or told as a traceback.
            _say()
            os._exit(_CANCELLED)

        listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if listens:
            signal.signal(signal.SIGINT, leave)
        from sdetl_tui import cli

        if listens:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    except KeyboardInterrupt:
        _say()
        sys.exit(_CANCELLED)
    try:
        cli.main()
    except KeyboardInterrupt:
        _say()
        sys.exit(_CANCELLED)
    finally:
        # What is left is the interpreter's own clearing away, which tells of a KeyboardInterrupt with a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _say() -> None:
    sys.stderr.write("\ncancelled by the operator\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
