"""A dirty ServiceDesk database made to measure, and four dashboards for it."""

from __future__ import annotations

from pathlib import Path

from sdetl_engine.demo.source import DEFAULT_ROWS, DEFAULT_SEED, DemoFacts, build_source
from sdetl_engine.files import private_folder

__all__ = ["DEFAULT_ROWS", "DEFAULT_SEED", "DemoFacts", "build_source", "demo_dashboards", "demo_source"]


def demo_source(folder: Path, *, rows: int = DEFAULT_ROWS, seed: int = DEFAULT_SEED) -> Path:
    """The demo's source file in the folder, built anew: the same rows and seed give the same data, up to today."""
    path = private_folder(folder) / f"servicedesk_{rows}_{seed}.db"
    path.unlink(missing_ok=True)
    return build_source(path, rows=rows, seed=seed).path


def demo_dashboards() -> Path:
    """The folder with the demo's four dashboards."""
    return Path(__file__).parent / "dashboards"
