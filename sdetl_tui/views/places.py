"""Which view belongs to which stage, and the words that stand at the head of every place."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sdetl_engine import Stage
from sdetl_tui.blocks import Block
from sdetl_tui.views import backup, clean, load, preflight, profile, score, summary, validate
from sdetl_tui.views.look import Look

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
