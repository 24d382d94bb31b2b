"""What readers, owners and other schemas have of the serving schema, they have after a cutover and after a rollback."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from sdetl_engine.errors import TargetError
from tests.conftest import Server
from tests.postgres.versions import TABLES, Desk, desk


@pytest.fixture
def it(database: str) -> Iterator[Desk]:
    with desk(database) as made:
        yield made


@pytest.fixture
def two(it: Desk) -> tuple[str, str]:
    """A version of 10 tickets that is live, and a candidate of 20."""
    first = it.candidate(10)
    it.switch_to(first)
    return first, it.candidate(20)


def there_and_back(it: Desk, two: tuple[str, str]) -> Iterator[int]:
    """The number of tickets that readers should see: after the cutover, after the rollback, and forward again."""
    it.switch_to(two[1])
    yield 20
    it.switch_to(two[0])
    yield 10
    it.switch_to(two[1])
    yield 20


def test_a_reporting_role_works_after_cutover_and_after_rollback(it: Desk, two: tuple[str, str]) -> None:
    """Column grants, a view and a materialized view of it in another schema, default privileges, a policy."""
    boss, reader = it.role("boss"), it.role("reader")
    it.run(
        "CREATE SCHEMA rep",
        f"GRANT USAGE ON SCHEMA servicedesk, rep TO {reader}, {boss}; GRANT CREATE ON SCHEMA rep TO {boss}",
        f"GRANT SELECT (id, team) ON servicedesk.tickets TO {reader}; GRANT SELECT ON servicedesk.tickets TO {boss}",
        "ALTER TABLE servicedesk.tickets ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY reds ON servicedesk.tickets FOR SELECT TO {reader} USING (team = 'red' AND id IN "
        "(SELECT ticket_id FROM servicedesk.comments))",
        f"GRANT SELECT ON servicedesk.comments TO {reader}",
        f"CREATE POLICY everything ON servicedesk.tickets TO {boss} USING (true)",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA servicedesk GRANT SELECT ON TABLES TO {reader}",
        "CREATE VIEW rep.teams AS SELECT team, count(*) AS tickets FROM servicedesk.tickets GROUP BY team",
        f"ALTER VIEW rep.teams OWNER TO {boss}; GRANT SELECT ON rep.teams TO {reader}",
        "COMMENT ON VIEW rep.teams IS 'tickets by team'; COMMENT ON COLUMN rep.teams.team IS 'its name'",
        "CREATE MATERIALIZED VIEW rep.totals AS SELECT sum(tickets) AS n FROM rep.teams",
        "CREATE UNIQUE INDEX totals_n ON rep.totals (n); COMMENT ON INDEX rep.totals_n IS 'for refreshing'",
        f"GRANT SELECT ON rep.totals TO {reader}",
        "CREATE MATERIALIZED VIEW rep.direct AS SELECT count(*) AS n FROM servicedesk.tickets WITH NO DATA",
        f"CREATE INDEX direct_n ON rep.direct (n); ALTER MATERIALIZED VIEW rep.direct OWNER TO {boss}",
        "REFRESH MATERIALIZED VIEW rep.direct",
    )
    for rows in there_and_back(it, two):
        assert it.ask("SELECT count(*), min(team) FROM servicedesk.tickets", reader) == [(rows // 2, "red")]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            it.ask("SELECT title FROM servicedesk.tickets", reader)
        assert it.ask("SELECT sum(tickets) FROM rep.teams", reader) == [(rows,)]
        assert it.ask("SELECT n FROM rep.totals", reader) == [(rows,)]
        assert it.ask("SELECT n FROM rep.direct") == [(rows,)]
        it.run("REFRESH MATERIALIZED VIEW CONCURRENTLY rep.totals")
        it.run(f"CREATE TABLE servicedesk.extra_{rows}_{it.live()[-1]} (x int)")  # type: ignore[index]
        assert it.ask(f"SELECT count(*) FROM servicedesk.extra_{rows}_{it.live()[-1]}", reader) == [(0,)]  # type: ignore[index]
        it.run(f"DROP TABLE servicedesk.extra_{rows}_{it.live()[-1]}")  # type: ignore[index]
        owners = it.ask("SELECT relname, pg_get_userbyid(relowner) FROM pg_class WHERE relname IN ('teams', 'direct')")
        assert sorted(owners) == [("direct", boss), ("teams", boss)]
        said = it.ask(
            "SELECT obj_description('rep.teams'::regclass), col_description('rep.teams'::regclass, 1), "
            "obj_description('rep.totals_n'::regclass)"
        )
        assert said == [("tickets by team", "its name", "for refreshing")]
        indexes = it.ask("SELECT indexname FROM pg_indexes WHERE schemaname = 'rep' ORDER BY 1")
        assert indexes == [("direct_n",), ("totals_n",)]


def test_what_was_revoked_stays_revoked_when_going_back(it: Desk, two: tuple[str, str]) -> None:
    first, second = two
    reader, writer = it.role("reader"), it.role("writer")
    it.run(
        f"GRANT USAGE ON SCHEMA servicedesk TO {reader}, {writer}",
        f"GRANT SELECT ON servicedesk.tickets, servicedesk.comments TO {reader} WITH GRANT OPTION",
        f"GRANT SELECT (body) ON servicedesk.comments TO {writer}",
        f"GRANT USAGE ON SEQUENCE servicedesk.comments_id_seq TO {writer}",
    )
    it.run(f"GRANT SELECT ON servicedesk.tickets TO {writer}", role=reader)
    it.switch_to(second)
    it.run(
        f"REVOKE SELECT ON servicedesk.comments FROM {reader} CASCADE",
        f"REVOKE SELECT (body) ON servicedesk.comments FROM {writer}",
        f"REVOKE ALL ON SEQUENCE servicedesk.comments_id_seq FROM {writer}",
        f"REVOKE USAGE ON SCHEMA servicedesk FROM {writer}",
        f"GRANT SELECT (id) ON servicedesk.comments TO {reader}",
    )
    acls = (
        "SELECT relname, (SELECT array_agg(DISTINCT (CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END, "
        "privilege_type, is_grantable)::text) FROM aclexplode(relacl)) FROM pg_class "
        "WHERE relnamespace = 'servicedesk'::regnamespace AND relkind IN ('r', 'S') ORDER BY 1"
    )
    before = it.ask(acls)
    it.switch_to(first)
    assert it.ask(acls) == before
    allowed = it.ask(
        f"SELECT has_table_privilege('{reader}', 'servicedesk.tickets', 'SELECT WITH GRANT OPTION'), "
        f"has_table_privilege('{writer}', 'servicedesk.tickets', 'SELECT'), "
        f"has_table_privilege('{reader}', 'servicedesk.comments', 'SELECT'), "
        f"has_column_privilege('{reader}', 'servicedesk.comments', 'id', 'SELECT'), "
        f"has_any_column_privilege('{writer}', 'servicedesk.comments', 'SELECT'), "
        f"has_sequence_privilege('{writer}', 'servicedesk.comments_id_seq', 'USAGE'), "
        f"has_schema_privilege('{writer}', 'servicedesk', 'USAGE')"
    )
    assert allowed == [(True, True, False, True, False, False, False)]


def test_what_the_new_version_does_not_have_is_listed(it: Desk, two: tuple[str, str]) -> None:
    reader = it.role("reader")
    it.run(
        f"CREATE TABLE servicedesk.notes (x int); GRANT SELECT ON servicedesk.notes TO {reader}",
        f"ALTER TABLE servicedesk.tickets ADD COLUMN mood text; GRANT SELECT (mood) ON servicedesk.tickets TO {reader}",
    )
    assert it.switch_to(two[1]).carried.not_there == ("notes", "tickets.mood")


def test_a_new_table_gets_what_the_default_privileges_say(it: Desk, two: tuple[str, str]) -> None:
    reader = it.role("reader")
    it.run(
        f"GRANT USAGE ON SCHEMA servicedesk TO {reader}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA servicedesk GRANT SELECT ON TABLES TO {reader}",
    )
    third = it.candidate(30, TABLES + "CREATE TABLE {0}.surveys (id int);")
    it.switch_to(third)
    assert it.ask("SELECT count(*) FROM servicedesk.surveys", reader) == [(0,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        it.ask("SELECT count(*) FROM servicedesk.tickets", reader)


def test_owners_comments_and_forced_policies_go_along(it: Desk, two: tuple[str, str]) -> None:
    owner = it.role("owner")
    it.run(
        f"ALTER SCHEMA servicedesk OWNER TO {owner}; ALTER TABLE servicedesk.tickets OWNER TO {owner}",
        "COMMENT ON TABLE servicedesk.tickets IS 'what people ask'; COMMENT ON COLUMN servicedesk.tickets.team IS 'who'",
        "ALTER TABLE servicedesk.comments FORCE ROW LEVEL SECURITY",
        "CREATE POLICY own ON servicedesk.comments AS RESTRICTIVE FOR UPDATE USING (body <> '') WITH CHECK (id > 0)",
    )
    for number, _ in enumerate(there_and_back(it, two)):
        assert it.ask(
            "SELECT pg_get_userbyid(nspowner), pg_get_userbyid(relowner), obj_description(c.oid), "
            "col_description(c.oid, 3) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE c.oid = 'servicedesk.tickets'::regclass"
        ) == [(owner, owner, "what people ask" if number < 2 else "changed", "who" if number < 2 else None)]
        assert it.ask(
            "SELECT relforcerowsecurity, polpermissive, polcmd::text, pg_get_expr(polqual, polrelid) "
            "FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE c.oid = 'servicedesk.comments'::regclass"
        ) == [(True, False, "w", "(body <> ''::text)")]
        if number == 1:
            it.run(
                "COMMENT ON TABLE servicedesk.tickets IS 'changed'; COMMENT ON COLUMN servicedesk.tickets.team IS NULL"
            )


def test_publications_follow_the_serving_name(it: Desk, two: tuple[str, str], server: Server) -> None:
    # Since 15 they may name columns, rows and schemas.
    part, whole, shown = (
        ("(id, team) WHERE (id > 3)", "TABLES IN SCHEMA servicedesk", ", attnames, rowfilter")
        if server.major >= 15
        else ("", "TABLE servicedesk.tickets, servicedesk.comments", "")
    )
    it.run(
        f"CREATE PUBLICATION desk FOR TABLE servicedesk.tickets {part}",
        f"CREATE PUBLICATION whole FOR {whole}",
        "ALTER TABLE servicedesk.comments REPLICA IDENTITY FULL",
    )
    published = f"SELECT pubname, schemaname, tablename{shown} FROM pg_publication_tables ORDER BY 1, 3"
    before = it.ask(published)
    assert len(before) == 3
    for _ in there_and_back(it, two):
        assert it.ask(published) == before
        assert it.ask("SELECT relreplident FROM pg_class WHERE oid = 'servicedesk.comments'::regclass") == [("f",)]


def test_functions_and_views_of_views_go_along_in_order(it: Desk, two: tuple[str, str], server: Server) -> None:
    reader = it.role("reader")
    # Since 14 a body is bound to what it names; before, it is text that finds the new tables by itself.
    body = "BEGIN ATOMIC {}; END" if server.major >= 14 else "LANGUAGE sql AS '{}'"
    it.run(
        "CREATE SCHEMA rep",
        f"GRANT USAGE ON SCHEMA rep TO {reader}",
        "CREATE VIEW rep.a WITH (security_barrier) AS SELECT id, title FROM servicedesk.tickets",
        "CREATE VIEW rep.b AS SELECT id, title AS named FROM rep.a WHERE id > 0",
        "CREATE FUNCTION rep.how_many(above bigint DEFAULT 0) RETURNS bigint SECURITY DEFINER "
        + body.format("SELECT count(*) FROM rep.b WHERE id > above"),
        "CREATE FUNCTION rep.title_of(t servicedesk.tickets) RETURNS text LANGUAGE sql AS 'SELECT t.title'",
        "COMMENT ON FUNCTION rep.how_many IS 'counts'",
        f"REVOKE ALL ON FUNCTION rep.how_many FROM PUBLIC; GRANT EXECUTE ON FUNCTION rep.how_many TO {reader}",
        "CREATE VIEW rep.c AS SELECT rep.how_many(2) AS n, (SELECT max(rep.title_of(t)) FROM servicedesk.tickets t) AS x",
        f"GRANT SELECT ON rep.c TO {reader}",
        "CREATE VIEW rep.writable AS SELECT id, title FROM rep.a",
        "CREATE RULE into_it AS ON INSERT TO rep.writable DO INSTEAD INSERT INTO servicedesk.tickets (id) VALUES (NEW.id)",
    )
    for rows in there_and_back(it, two):
        assert it.ask("SELECT n FROM rep.c", reader) == [(rows - 2,)]
        version = it.live()
        assert it.ask("SELECT x FROM rep.c") == [(version,)]
        assert it.ask(
            "SELECT obj_description('rep.how_many'::regproc), (SELECT reloptions FROM pg_class WHERE oid = "
            "'rep.a'::regclass)"
        ) == [("counts", ["security_barrier=true"])]
        assert it.ask("SELECT has_function_privilege('public', 'rep.how_many(bigint)', 'EXECUTE')") == [(False,)]
        it.run("INSERT INTO rep.writable VALUES (999); DELETE FROM servicedesk.tickets WHERE id = 999")


def test_a_view_that_the_new_version_cannot_bear_keeps_the_old_one_live(it: Desk, two: tuple[str, str]) -> None:
    it.run(
        "CREATE SCHEMA rep",
        "CREATE VIEW rep.moods AS SELECT substr(team, 2) AS team FROM servicedesk.tickets",
        "CREATE MATERIALIZED VIEW rep.loud AS SELECT upper(title) AS t FROM servicedesk.tickets",
        "CREATE VIEW rep.good AS SELECT id FROM servicedesk.tickets",
    )
    other = TABLES.replace("team text", "team int").replace("'red'", "1").replace("'blue'", "2")
    other += "ALTER TABLE {0}.tickets DROP COLUMN title;"
    third = it.candidate(30, other)
    with pytest.raises(TargetError) as refused:
        it.switch_to(third)
    assert refused.value.kind == "dependents"
    assert "2 objects" in refused.value.message
    assert "view rep.moods" in refused.value.message
    assert "materialized view rep.loud" in refused.value.message
    assert "still live" in refused.value.left_behind
    assert it.live() == two[0]
    assert it.ask("SELECT count(*) FROM rep.loud") == [(10,)]
    assert it.ask("SELECT count(*) FROM pg_class WHERE relname LIKE 'sdetl\\_%'") == [(0,)]
