"""Which sdetl this is."""

from __future__ import annotations

import importlib.metadata


def sdetl_version() -> str:
    """The version of the installed package."""
    try:
        return importlib.metadata.version("sdetl")
    except importlib.metadata.PackageNotFoundError:
        return "0"
