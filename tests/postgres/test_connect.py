"""Reading what ``--target`` takes, and the sessions that come of it."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sdetl_engine.errors import TargetError, UsageError
from sdetl_engine.postgres.connect import Target, open_connection, open_pool, statement_error
from tests.conftest import Server
from tests.interrupting import end_backend

SECRET = "CANARYpw7f3a"
NOWHERE = {"HOME": "/nonexistent"}


def parse(text: str | None, **environ: str) -> Target:
    return Target.parse(text, {**NOWHERE, **environ})


def options(target: Target) -> dict[str, Any]:
    return {k: v for k, v in conninfo_to_dict(target.conninfo).items() if v is not None}


def target_of(conninfo: str, **more: str) -> Target:
    return parse(make_conninfo(conninfo, **more))


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://ann:{SECRET}@db.example:5433/tickets?sslmode=require",
        f"postgresql://ann@db.example:5433/tickets?password={SECRET}&sslmode=require",
        f"host=db.example port=5433 user=ann password='{SECRET}' dbname=tickets sslmode=require",
    ],
)
def test_a_password_is_used_but_never_shown_and_its_place_is_warned_about(text: str) -> None:
    target = parse(text)
    assert options(target)["password"] == SECRET
    assert target.describe() == "database tickets on db.example:5433 as ann"
    assert SECRET not in target.spoken + target.describe() + repr(target) + "".join(target.warnings)
    assert "command line" in target.warnings[0]
    again = parse(target.spoken)
    assert options(again) == {k: v for k, v in options(target).items() if k != "password"}
    assert again.warnings == ()


def test_characters_escaped_in_a_url_arrive_unescaped() -> None:
    assert options(parse("postgresql://u:p%40ss%2Fw0rd%25@h/d"))["password"] == "p@ss/w0rd%"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (f"postgresql://user:{SECRET}@ss/w0rd@host/db", "user or password"),
        (f"postgresql://user:pa/{SECRET}@host/db", "user or password"),
        (f"postgresql://user:p%zz{SECRET}@host/db", "password"),
        (f"postgresql://user:{SECRET}%00@host/db", "password"),
        (f"postgresql://us%er:{SECRET}@host/db", "user"),
        (f"postgresql://host:{SECRET}/db", "port"),
        (f"postgresql://[{SECRET}/db", "host"),
        (f"postgresql://host/db?{SECRET}=1", "options"),
        (f"postgresql://host/db?sslmode={SECRET}", "sslmode"),
        (f"password=two {SECRET} host=h", "after the field password"),
        (f"host=h password='{SECRET}", "after the field host"),
        (f"{SECRET}=x", "first field"),
        (f"host=h port=5599{SECRET}", "port"),
        (f"host=h connect_timeout={SECRET}", "connect_timeout"),
        (f"user:{SECRET}@host", "neither a URL"),
        (SECRET, "no service of that name"),
        (f"host=h dbname=postgresql://u:{SECRET}@h/d", "database name"),
    ],
)
def test_what_cannot_be_read_is_refused_by_field_before_the_network_and_never_quoted(
    text: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert field in caught.value.message
    assert SECRET not in caught.value.message + caught.value.next_step


def test_embedded_is_a_target_of_its_own() -> None:
    target = parse("embedded")
    assert target.is_embedded
    assert target.spoken == "embedded"
    reached = target.at("host=/tmp/x port=5432 user=postgres dbname=servicedesk")
    assert reached.is_embedded
    assert (reached.spoken, reached.host, reached.database) == ("embedded", "/tmp/x", "servicedesk")


def test_a_service_is_described_by_what_its_file_says(tmp_path: Path) -> None:
    services = tmp_path / "services"
    services.write_text(f"# ours\n[desk]\nhost=db.example\ndbname=tickets\nuser=ann\npassword={SECRET}\n")
    target = parse("desk", PGSERVICEFILE=str(services))
    assert options(target) == {"service": "desk"}
    assert target.spoken == "desk"
    assert target.describe() == "database tickets on db.example as ann"


def test_without_a_target_the_pg_variables_say_where(tmp_path: Path) -> None:
    target = parse("", PGHOST="db.example", PGDATABASE="tickets", PGUSER="ann", PGPASSWORD=SECRET)
    assert options(target)["password"] == SECRET
    assert target.describe() == "database tickets on db.example as ann"
    assert SECRET not in target.spoken
    assert target.warnings == ()
    assert options(parse(target.spoken))["host"] == "db.example"


def test_without_a_target_and_without_variables_one_is_asked_for() -> None:
    with pytest.raises(UsageError, match="no target was named"):
        parse(None)


def test_a_password_file_that_others_may_read_is_pointed_out(tmp_path: Path) -> None:
    passfile = tmp_path / ".pgpass"
    passfile.write_text(f"*:*:*:*:{SECRET}\n")
    passfile.chmod(0o644)
    (warning,) = Target.parse("host=h", {"HOME": str(tmp_path)}).warnings
    assert "ignored: its permissions are 0644 and must be 0600" in warning
    passfile.chmod(0o600)
    assert Target.parse("host=h", {"HOME": str(tmp_path)}).warnings == ()


def test_the_session_is_the_same_whatever_the_role_is_set_to(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        for setting in (
            "statement_timeout = 20000",  # as long as no slow machine cuts the others off
            "DateStyle = 'SQL, DMY'",
            "TimeZone = 'Asia/Kathmandu'",
            "search_path = public",
            "default_transaction_read_only = on",
            "client_encoding = 'LATIN1'",
            "bytea_output = 'escape'",
        ):
            connection.execute(sql.SQL("ALTER DATABASE {} SET {}").format(name, sql.SQL(setting)))
    with open_connection(target_of(database)) as connection:
        assert _settings(connection) == ("0", "ISO, YMD", "UTC", "pg_catalog", "off", "UTF8", "hex")
        connection.rollback()
        assert _settings(connection) == ("0", "ISO, YMD", "UTC", "pg_catalog", "off", "UTF8", "hex")
        connection.execute("CREATE TABLE public.t (a int)")
    with open_pool(target_of(database), size=2) as pool, pool.connection() as connection:
        assert _settings(connection) == ("0", "ISO, YMD", "UTC", "pg_catalog", "off", "UTF8", "hex")


def _settings(connection: psycopg.Connection[Any]) -> tuple[Any, ...]:
    names = (
        "statement_timeout",
        "DateStyle",
        "TimeZone",
        "search_path",
        "default_transaction_read_only",
        "client_encoding",
        "bytea_output",
    )
    row = connection.execute("SELECT " + ", ".join(f"current_setting('{n}')" for n in names)).fetchone()
    assert row is not None
    return tuple(row)


def test_the_pool_replaces_a_connection_that_the_server_ended(database: str) -> None:
    with open_pool(target_of(database), size=2) as pool:
        with pool.connection() as connection:
            backend = connection.info.backend_pid
        with psycopg.connect(database, autocommit=True) as other:
            end_backend(other, backend)
        with pool.connection() as connection:
            assert connection.info.backend_pid != backend
            assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog",)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"dbname": "nosuchdatabase"}, "database"),
        ({"host": "/nonexistent"}, "unreachable"),
        ({"host": "localhost", "port": "1", "sslmode": "disable"}, "unreachable"),
    ],
)
def test_each_reason_why_there_is_no_connection_has_its_kind(database: str, change: dict[str, str], kind: str) -> None:
    with pytest.raises(TargetError) as caught:
        open_connection(target_of(database, password=SECRET, **change), connect_timeout=3)
    assert caught.value.kind == kind
    assert SECRET not in caught.value.message + caught.value.next_step


def test_a_role_that_may_not_log_in(server: Server, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE ROLE sdetl_no_login NOLOGIN")
    try:
        with pytest.raises(TargetError) as caught:
            open_connection(target_of(database, user="sdetl_no_login"))
        assert caught.value.kind == "role"
        with pytest.raises(TargetError) as caught:
            open_connection(target_of(database, user="sdetl_not_there"))
        assert caught.value.kind == "role"
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DROP ROLE sdetl_no_login")


def test_a_database_without_room_for_another_session(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 0").format(sql.Identifier(connection.info.dbname))
        )
        connection.execute("CREATE ROLE sdetl_limited LOGIN")
        try:
            with pytest.raises(TargetError) as caught:
                open_connection(target_of(database, user="sdetl_limited"))
            assert caught.value.kind == "connections"
        finally:
            connection.execute("DROP ROLE sdetl_limited")


def test_a_database_that_is_not_utf8_is_refused(server: Server) -> None:
    database = server.create_database(encoding="SQL_ASCII")
    try:
        with pytest.raises(TargetError, match="SQL_ASCII; UTF8 is needed") as caught:
            open_connection(target_of(database))
        assert caught.value.kind == "encoding"
    finally:
        server.drop_database(database)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port where somebody listens who never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []
        thread = threading.Thread(target=lambda: held.append(listener.accept()[0]), daemon=True)
        thread.start()
        yield listener.getsockname()[1]


def test_a_listener_that_never_answers_is_given_up_in_time(deaf_port: int) -> None:
    with pytest.raises(TargetError, match="no answer in time") as caught:
        open_connection(parse(f"host=127.0.0.1 port={deaf_port} dbname=d sslmode=disable"), connect_timeout=2)
    assert caught.value.kind == "unreachable"


def test_something_else_that_answers_is_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1024)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        port = listener.getsockname()[1]
        with pytest.raises(TargetError) as caught:
            open_connection(parse(f"host=127.0.0.1 port={port} dbname=d sslmode=disable"), connect_timeout=3)
    assert caught.value.kind == "unreachable"


def test_a_statement_that_fails_is_told_without_the_value(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("SELECT %s::text::int", [SECRET])
    error = statement_error(caught.value, "reading table tickets")
    assert SECRET not in error.message
    assert "reading table tickets (SQLSTATE 22P02)" in error.message
    connection.rollback()
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("SELECT * FROM not_there")
    assert 'relation "not_there" does not exist' in statement_error(caught.value, "x").message


def test_a_connection_that_broke_is_called_that(database: str) -> None:
    connection = psycopg.connect(database)
    with psycopg.connect(database, autocommit=True) as other:
        end_backend(other, connection.info.backend_pid)
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("SELECT 1")
    assert statement_error(caught.value, "loading table tickets").kind == "connection-lost"


def test_a_target_shows_no_conninfo_in_a_traceback() -> None:
    target = parse(f"host=h password={SECRET}")
    assert SECRET not in repr(target)
    assert dataclasses.replace(target, spoken="x").conninfo == target.conninfo
