"""Which roles are led to the live version by their ``search_path``: what the settings say, or else how it is served now."""

from __future__ import annotations

from typing import Any

import psycopg

from sdetl_engine.postgres.place import place_of
from sdetl_engine.postgres.search_paths import roles_led_to
from sdetl_engine.settings import Settings


def roles_to_lead(connection: psycopg.Connection[Any], settings: Settings) -> tuple[str, ...]:
    """The roles to lead to the next version; none where it gets the serving schema's name.

    Without a strategy in the settings a version is served as the one before it, so that a rollback from any machine
    goes the way that the cutover came.
    """
    if settings.cutover.strategy is not None and (settings.cutover.roles or settings.cutover.strategy == "rename"):
        return settings.cutover.roles
    return roles_led_now(connection, settings.serving_schema)


def roles_led_now(connection: psycopg.Connection[Any], serving_schema: str) -> tuple[str, ...]:
    """The roles that are led to the version that is live; none where it bears the serving schema's name."""
    place = place_of(connection, serving_schema)
    return roles_led_to(connection, place) if place is not None and place != serving_schema else ()
