"""What somebody has made of a switch by hand: nothing yet, all of it, or a part, and what then is missing.

Told from names, marks, rights and the registry as they stand, so that any machine can look at any time.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import psycopg

from sdetl_engine.postgres import registry
from sdetl_engine.postgres.build import made_by, schema_exists
from sdetl_engine.postgres.carry.belongings import Belongings
from sdetl_engine.postgres.carry.bound import read_bound
from sdetl_engine.postgres.search_paths import read_paths, roles_led_to, schemas_of_service
from sdetl_engine.postgres.switch import SwitchOrder, rename_schema


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """How far a switch by hand has come.  ``missing``: what is not as it ought to be, a sentence each.

    ``is_begun``: something of it was done.  ``is_entered``: the registry says that the version is live.
    """

    is_begun: bool
    is_entered: bool
    missing: tuple[str, ...]

    @property
    def is_done(self) -> bool:
        """True when nothing but the registry's entry may be missing."""
        return self.is_begun and not self.missing


def look(connection: psycopg.Connection[Any], order: SwitchOrder, previous: str | None) -> Standing:
    """Look at the switch of ``order``.  ``previous``: the name that what was live before gets; None: nothing was live.

    Leaves nothing changed; the caller ends the transaction.
    """
    live = registry.live_version(connection, order.serving_schema)
    is_entered = live is not None and live.version == order.to_version
    place = order.to_version if order.roles else order.serving_schema
    misplaced = _misplaced(connection, order, previous, place)
    strayed = _strayed(connection, order, place)
    if not is_entered and not _has_moved(connection, order, previous, strayed):
        return Standing(False, False, ())
    if misplaced:
        return Standing(True, is_entered, (*misplaced, *strayed))
    missing = strayed
    if previous is not None:
        missing += _not_carried(connection, order, previous, place)
    return Standing(True, is_entered, missing)


def _has_moved(
    connection: psycopg.Connection[Any], order: SwitchOrder, previous: str | None, strayed: tuple[str, ...]
) -> bool:
    """True when a schema bears another name than before, or a reader is led elsewhere."""
    if not schema_exists(connection, order.to_version):
        return True
    # Readers who are led to it now found it under that name before, too.
    if previous is not None and schema_exists(connection, previous) and not roles_led_to(connection, previous):
        return True
    return bool(order.roles) and len(strayed) < len(order.roles)


def _misplaced(
    connection: psycopg.Connection[Any], order: SwitchOrder, previous: str | None, place: str
) -> tuple[str, ...]:
    """Which schemas do not bear the names that they should."""
    wrong = []
    version = registry.get_version(connection, order.to_version)
    if not schema_exists(connection, place):
        wrong.append(f"there is no schema {place}")
    elif version is not None and version.run_id is not None:
        maker = made_by(connection, place)
        if maker != version.run_id:
            whose = f"run {maker}" if maker is not None else "nobody of sdetl"
            wrong.append(f"schema {place} was made by {whose}, not by run {version.run_id}: it is another version")
    if place != order.to_version and schema_exists(connection, order.to_version):
        wrong.append(f"schema {order.to_version} still bears its own name")
    if place != order.serving_schema and schema_exists(connection, order.serving_schema):
        wrong.append(f"there is still a schema {order.serving_schema}")
    if previous is not None and not schema_exists(connection, previous):
        wrong.append(f"there is no schema {previous}: what was live before should bear that name")
    return tuple(wrong)


def _strayed(connection: psycopg.Connection[Any], order: SwitchOrder, place: str) -> tuple[str, ...]:
    """Which roles are not led to the version."""
    paths = read_paths(connection, order.roles)
    ours = schemas_of_service(connection, order.serving_schema)
    found = []
    for role in order.roles:
        path = paths.get(role)
        if path is None:
            found.append(f"there is no role {role}")
        elif next((schema for schema in path if schema in ours), None) != place:
            found.append(f"the search_path of role {role} is {', '.join(path)}, which does not lead to {place}")
    return tuple(found)


def _not_carried(connection: psycopg.Connection[Any], order: SwitchOrder, previous: str, place: str) -> tuple[str, ...]:
    """What the version before has, or has bound to it, and the new one lacks."""
    bound = tuple(f"{b} still reads {previous}" for b in read_bound(connection, previous))
    with _undone(connection):
        connection.execute("SET LOCAL search_path = ''")
        before, after = (_as_serving(connection, schema, order.serving_schema) for schema in (previous, place))
    return (*before.lacking_in(after), *bound)


def _as_serving(connection: psycopg.Connection[Any], schema: str, serving: str) -> Belongings:
    """What belongs to a schema, read under the serving name, so that both sides are spelled alike."""
    with _undone(connection):
        if schema != serving:
            if schema_exists(connection, serving):
                rename_schema(connection, serving, f"{schema}_aside")
            rename_schema(connection, schema, serving)
        return Belongings.read(connection, serving)


@contextlib.contextmanager
def _undone(connection: psycopg.Connection[Any]) -> Iterator[None]:
    connection.execute("SAVEPOINT sdetl_look")
    yield
    connection.execute("ROLLBACK TO SAVEPOINT sdetl_look")


def enter(connection: psycopg.Connection[Any], order: SwitchOrder, previous: str | None) -> None:
    """Enter into the registry what was switched and not entered by hand; the caller commits."""
    if previous is not None and registry.get_version(connection, previous) is None:
        connection.execute(registry.entry_of_adoption(previous, serving_schema=order.serving_schema, who=order.who))
    for statement in registry.entries_of_switch(
        order.action,
        serving_schema=order.serving_schema,
        from_version=previous,
        to_version=order.to_version,
        who=order.who,
        run_id=order.run_id,
    ):
        connection.execute(statement)
