"""The line at the head of every place: what it is for."""

from __future__ import annotations

from sdetl_engine import PURPOSE
from sdetl_tui.wizard import STAGE_OF, Place

_PURPOSE = {
    Place.START: "Say what moves where, or take up a run that was left half way.",
    Place.SUMMARY: "The twelve lines of the deployment checklist, each with its evidence.",
    Place.FINDINGS: "What the gates noticed, and what you have decided about it.",
    Place.TYPES: "What every column becomes in PostgreSQL; another type shows its cost first.",
    Place.VERSIONS: "What the registry of the target knows: live, retired, candidate.",
    Place.ROLLBACK: "Make the version live again that was live before the present one.",
    Place.DRILL: "Rehearse the way back in a schema of its own; the serving schema is not touched.",
}


def purpose(place: Place) -> str:
    """One line: what the place is for."""
    return PURPOSE[STAGE_OF[place]] if place in STAGE_OF else _PURPOSE[place]
