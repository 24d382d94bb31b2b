"""Which view belongs to which stage, and the words that stand at the head of every place."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sdetl_engine import PURPOSE, Stage
from sdetl_tui.blocks import Block
from sdetl_tui.views import backup, clean, load, preflight, profile, score, summary, validate
from sdetl_tui.views.look import Look
from sdetl_tui.wizard import STAGE_OF, Place

View = Callable[[Look], tuple[Block, ...]]
Detail = Callable[[Look, str, str], tuple[Block, ...]]


def _nothing(look: Look, table: str, key: str) -> tuple[Block, ...]:
    return ()


VIEWS: Mapping[Stage, tuple[View, Detail]] = {
    Stage.PREFLIGHT: (preflight.blocks, preflight.detail),
    Stage.BACKUP: (backup.blocks, backup.detail),
    Stage.PROFILE: (profile.blocks, profile.detail),
    Stage.CLEAN: (clean.blocks, clean.detail),
    Stage.SCORE: (score.blocks, score.detail),
    Stage.CANARY: (load.canary, load.canary_detail),
    Stage.MIGRATE: (load.migrate, load.migrate_detail),
    Stage.VALIDATE: (validate.blocks, validate.detail),
    Stage.REPORT: (summary.report, _nothing),
}
"""The cutover's view needs the target too: its screen calls it by itself."""

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
