"""The only place where data becomes text on the screen: literal, control characters visible, never markup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text

from sdetl_engine import visible
from sdetl_tui.blocks import Line, Tone

if TYPE_CHECKING:
    from textual.content import Content

LONGEST = 2000

# Styles of the wizard's themes; with the ansi themes they are the terminal's own colours, or none.
_STYLE = {
    Tone.PLAIN: "",
    Tone.DIM: "dim",
    Tone.STRONG: "bold",
    Tone.GOOD: "$text-success",
    Tone.NOTICE: "$text-warning",
    Tone.BAD: "bold $text-error",
    Tone.ACCENT: "bold $text-accent",
}


def plain(value: object, limit: int = LONGEST) -> str:
    """One line of text that a terminal shows as it is: no control, bidi or zero-width character gets through."""
    return visible(str(value), limit)


def literal(value: object, style: str = "", limit: int = LONGEST) -> Text:
    """The same as a rich Text, which is never parsed as markup."""
    return Text(plain(value, limit), style=style)


def content(line: Line, limit: int = LONGEST) -> Content:
    """A line for a widget."""
    from textual.content import Content

    return Content.assemble(*((plain(span.text, limit), _STYLE[span.tone]) for span in line))


def contents(lines: Iterable[Line], limit: int = LONGEST) -> Content:
    """Several lines for a widget."""
    from textual.content import Content

    return Content("\n").join([content(line, limit) for line in lines])


def written(line: Line, limit: int = LONGEST) -> str:
    """A line without colours, for the line mode and for widths."""
    return "".join(plain(span.text, limit) for span in line)
