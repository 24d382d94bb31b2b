"""What a drill is made from: the newest run's cleaned copy, a source that was named, or a small demo source.

Version 2 holds all of it, or a sample when it is large; version 1 nine tenths of that, as last quarter's would.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from sdetl_engine.demo import demo_source
from sdetl_engine.deployment import is_busy
from sdetl_engine.errors import SdetlError
from sdetl_engine.events import Reporter
from sdetl_engine.settings import Settings, load_settings
from sdetl_engine.sqlite.freeze import freeze
from sdetl_engine.sqlite.open import open_readonly, quote
from sdetl_engine.sqlite.schema import read_schema
from sdetl_engine.sqlite.subset import sample_subset
from sdetl_engine.values.schema import Relation, Schema
from sdetl_engine.workspace import Workspace

_EARLIER_SHARE = 0.9
_DEMO_ROWS = 20_000
_FROM_THE_PLAN = ("source", "profile", "clean", "load", "decisions")


@dataclasses.dataclass(frozen=True, slots=True)
class DrillData:
    """``label`` says where it is from; ``settings`` are those that suit it; rows of both versions."""

    label: str
    settings: Settings
    first: Path
    second: Path
    first_rows: int
    second_rows: int


def drill_data(
    workspace: Workspace, settings: Settings, folder: Path, source: Path | None, reporter: Reporter
) -> DrillData:
    """Choose, copy and sample.  ``folder`` takes the files.  Raises SourceError, ResourceError, Cancelled."""
    path, label, settings = _choose(workspace, settings, folder, source, reporter)
    with open_readonly(path) as connection:
        schema = read_schema(connection, exclude_tables=set(settings.source.exclude_tables))
        rows = sum(connection.execute(f"SELECT count(*) FROM {quote(t.name)}").fetchone()[0] for t in schema.tables)
    share = min(1.0, settings.drill.max_rows / max(rows, 1))
    second, second_rows = path, rows
    if share < 1.0:
        second, label = folder / "second.db", f"{label}, a sample of {share:.0%}"
        second_rows = _sample(path, second, schema, share, reporter)
    first = folder / "first.db"
    first_rows = _sample(path, first, schema, share * _EARLIER_SHARE, reporter)
    return DrillData(label, settings, first, second, first_rows, second_rows)


def _choose(
    workspace: Workspace, settings: Settings, folder: Path, source: Path | None, reporter: Reporter
) -> tuple[Path, str, Settings]:
    if source is not None:
        frozen = freeze(
            source.absolute(), folder / "source.db", lock_timeout=settings.source.lock_timeout, reporter=reporter
        )
        return frozen.path, f"a frozen copy of {source.name}", settings
    for run_id in workspace.run_ids():
        run = workspace.run_folder(run_id)
        if not run.clean.exists() or is_busy(run):
            continue
        try:
            plan = load_settings(plan=run.plan)
        except SdetlError:
            continue
        suited = {name: getattr(plan, name) for name in _FROM_THE_PLAN}
        return run.clean, f"the cleaned copy of run {run_id}", settings.model_copy(update=suited)
    return demo_source(folder, rows=_DEMO_ROWS), f"a demo source of {_DEMO_ROWS:,} rows", settings


def _sample(path: Path, output: Path, schema: Schema, share: float, reporter: Reporter) -> int:
    drawn = sample_subset(path, output, schema, _declared(schema), share, 1, reporter)
    return sum(drawn.rows.values())


def _declared(schema: Schema) -> Sequence[Relation]:
    """The relations that the source declares itself."""
    return [
        Relation(table.name, key.columns, key.parent, key.parent_columns, "declared")
        for table in schema.tables
        for key in table.foreign_keys
    ]
