"""The only place where data becomes text on the screen: literal, control characters visible, never markup."""

from __future__ import annotations

from rich.text import Text

from sdetl_engine.values.encodings import visible

LONGEST = 2000


def plain(value: object, limit: int = LONGEST) -> str:
    """One line of text that a terminal shows as it is: no control, bidi or zero-width character gets through."""
    return visible(str(value), limit)


def literal(value: object, style: str = "", limit: int = LONGEST) -> Text:
    """The same as a rich Text, which is never parsed as markup."""
    return Text(plain(value, limit), style=style)
