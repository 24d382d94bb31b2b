"""Where readers find the version that is live: in the schema of the serving name, or in its own schema, to which their
``search_path`` leads them."""

from __future__ import annotations

from typing import Any

import psycopg

from sdetl_engine.postgres import registry
from sdetl_engine.postgres.build import schema_exists


def place_of(connection: psycopg.Connection[Any], serving_schema: str) -> str | None:
    """The schema that readers read now; None when there is nothing to read.

    A version that is live bears its own name only where readers are led to it by their ``search_path``: otherwise its
    schema has the serving name.
    """
    live = registry.live_version(connection, serving_schema) if registry.exists(connection) else None
    return place_of_live(connection, serving_schema, live.version if live is not None else None)


def place_of_live(connection: psycopg.Connection[Any], serving_schema: str, live: str | None) -> str | None:
    """The same for the version that is known to be live, None where none is managed."""
    if live is not None and schema_exists(connection, live):
        return live
    return serving_schema if schema_exists(connection, serving_schema) else None
