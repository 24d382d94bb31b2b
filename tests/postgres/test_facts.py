"""What pre-flight learns about the target, as a role that may do everything and as one that may do little."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sdetl_engine.postgres import registry
from sdetl_engine.postgres.connect import Target, open_connection
from sdetl_engine.postgres.facts import TargetFacts, target_facts
from tests.conftest import Server

pytestmark = pytest.mark.skipif(
    "SDETL_TEST_DSN" in os.environ, reason="logs in as roles that the system server does not let in"
)


def facts(conninfo: str, schema: str = "servicedesk") -> TargetFacts:
    with open_connection(Target.parse(conninfo, {})) as connection:
        return target_facts(connection, schema)


def run(conninfo: str, *statements: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def clerk(database: str) -> Iterator[str]:
    """A role without rights; its conninfo is ``database``'s with ``user`` replaced."""
    name = f"clerk {uuid.uuid4().hex[:8]}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_an_empty_database_as_superuser(database: str, server: Server) -> None:
    found = facts(database)
    assert found.server_major == server.major
    assert found.server_version.startswith(f"{server.major}.")
    assert found.encoding == "UTF8"
    assert (found.in_recovery, found.serving_exists, found.is_managed) == (False, False, False)
    assert found.system_identifier is not None
    assert found.missing_rights == ()
    assert 0 < found.connections_left < 1000
    assert (found.tables, found.event_triggers, found.dependents) == ((), (), ())


def test_every_missing_right_comes_with_a_statement_that_grants_it(database: str, clerk: str) -> None:
    run(
        database,
        "CREATE SCHEMA servicedesk",
        "CREATE TABLE servicedesk.tickets (id int)",
        "CREATE SEQUENCE servicedesk.numbers",
    )
    as_clerk = make_conninfo(database, user=clerk)
    missing = facts(as_clerk).missing_rights
    assert [right.name.split(" (")[0] for right in missing] == [
        f"create schemas in database {facts(database).database}",
        "rename schema servicedesk",
        "lock the tables of schema servicedesk",
        "look into schema servicedesk",
        "read every table of schema servicedesk",
    ]
    run(database, *(right.fix for right in missing))
    assert facts(as_clerk).missing_rights == ()
    with open_connection(Target.parse(as_clerk, {})) as connection:
        connection.execute("LOCK TABLE servicedesk.tickets IN ACCESS EXCLUSIVE MODE")
        connection.execute("ALTER SCHEMA servicedesk RENAME TO servicedesk_v1")
        connection.execute("CREATE SCHEMA servicedesk")


def test_rows_hidden_by_a_policy_are_noticed(database: str, clerk: str) -> None:
    run(
        database,
        "CREATE SCHEMA servicedesk",
        "CREATE TABLE servicedesk.tickets (id int)",
        "ALTER TABLE servicedesk.tickets ENABLE ROW LEVEL SECURITY",
        f'GRANT USAGE ON SCHEMA servicedesk TO "{clerk}"',
        f'GRANT ALL ON servicedesk.tickets TO "{clerk}"',
    )
    names = [right.name for right in facts(make_conninfo(database, user=clerk)).missing_rights]
    assert "see every row of schema servicedesk (row security)" in names


def test_a_managed_schema_with_its_tables(database: str) -> None:
    with psycopg.connect(database) as connection:
        registry.ensure(connection)
        connection.execute("CREATE SCHEMA servicedesk")
        connection.execute("CREATE TABLE servicedesk.tickets AS SELECT generate_series(1, 500) AS id")
        connection.execute("CREATE TABLE servicedesk.companies (id int)")
        connection.execute("ANALYZE servicedesk.tickets")
        name = "servicedesk_v20251019_143022"
        registry.add_version(
            connection,
            name,
            serving_schema="servicedesk",
            status=registry.VersionStatus.CANDIDATE,
            created_by="ann@desk",
        )
        for entry in registry.entries_of_switch(
            "cutover", serving_schema="desk", from_version=None, to_version=name, who="test", run_id=None
        ):
            connection.execute(entry)
    found = facts(database)
    assert found.live_version == "servicedesk_v20251019_143022"
    assert [(table.name, table.rows) for table in found.tables] == [("companies", None), ("tickets", 500)]
    assert found.bytes > 16_000


def test_a_registry_that_the_role_may_not_see_is_a_missing_right(database: str, clerk: str) -> None:
    with psycopg.connect(database) as connection:
        registry.ensure(connection)
    found = facts(make_conninfo(database, user=clerk))
    assert found.live_version is None
    assert "read and write the registry in schema sdetl" in [right.name for right in found.missing_rights]
    run(database, *(right.fix for right in found.missing_rights))
    assert facts(make_conninfo(database, user=clerk)).missing_rights == ()


def test_what_points_into_the_schema_from_outside(database: str) -> None:
    run(
        database,
        "CREATE SCHEMA servicedesk",
        "CREATE TABLE servicedesk.tickets (id int PRIMARY KEY)",
        "CREATE VIEW servicedesk.inside AS SELECT * FROM servicedesk.tickets",
        "CREATE VIEW public.outside AS SELECT * FROM servicedesk.tickets",
        "CREATE TABLE public.notes (ticket int REFERENCES servicedesk.tickets)",
    )
    assert facts(database).dependents == ("foreign key of public.notes", "view public.outside")


def test_settings_and_event_triggers_that_may_hurt(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
        connection.execute(sql.SQL("ALTER DATABASE {} SET statement_timeout = '7s'").format(name))
        connection.execute("CREATE FUNCTION public.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$")
        connection.execute("CREATE EVENT TRIGGER watcher ON ddl_command_end EXECUTE FUNCTION public.watch()")
    found = facts(database)
    assert found.event_triggers == ("watcher",)
    text = " ".join(found.settings)
    assert "default_transaction_read_only is on" in text
    assert "statement_timeout is 7000 ms" in text


def test_a_schema_name_that_needs_quoting(database: str, clerk: str) -> None:
    run(database, 'CREATE SCHEMA "Service ""Desk"""')
    as_clerk = make_conninfo(database, user=clerk)
    found = facts(as_clerk, 'Service "Desk"')
    assert found.serving_exists
    run(database, *(right.fix for right in found.missing_rights))
    assert facts(as_clerk, 'Service "Desk"').missing_rights == ()


def test_asking_changes_nothing(database: str, connection: psycopg.Connection[Any]) -> None:
    before = connection.execute("SELECT count(*) FROM pg_class").fetchone()
    facts(database)
    assert connection.execute("SELECT count(*) FROM pg_class").fetchone() == before
