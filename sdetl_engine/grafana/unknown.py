"""The one way in which a dashboard's query cannot be expanded."""

from __future__ import annotations


class UnknownInQuery(Exception):
    """A variable, macro, interval or format that nothing defines; the text names it."""
