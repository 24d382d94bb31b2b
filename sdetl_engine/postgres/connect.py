"""From what ``--target`` takes to a connection whose session settings are known.

Everything is read and checked before the first packet: libpq itself would look up half a password as a host name
when it holds an unescaped ``@``.  libpq's error texts quote pieces of what they were given, so none gets out;
each is translated into a sentence that names the database, host and user only.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

from sdetl_engine.errors import TargetError, UsageError

EMBEDDED = "embedded"
OLDEST_SERVER = 13
"""Oldest major version that is supported."""

_SCHEME = re.compile(r"postgres(?:ql)?://")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ASSIGNMENT = re.compile(r"\s*([^\s=]+)\s*=\s*('(?:\\.|[^'\\])*'|(?:\\.|[^\s\\'])*)(?=\s|$)", re.DOTALL)
_WORD = re.compile(r"[^\s=:/@?]+")
_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A database to connect to.

    ``spoken`` is the target as ``--target`` takes it, without a password.  ``warnings`` are sentences for the
    operator, e.g. about a password that other users can see.
    """

    conninfo: str = dataclasses.field(repr=False)
    """For libpq.  May hold a password: never shown, never logged."""
    spoken: str
    is_embedded: bool = False
    host: str | None = None
    port: str | None = None
    database: str | None = None
    user: str | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str | None, environ: Mapping[str, str]) -> Target:
        """Read a libpq URL, a key/value string, a service name or ``embedded``; when empty, the ``PG*`` variables.

        Raises UsageError that names the part that is wrong and never quotes it.  Opens no connection.
        """
        text = (text or "").strip()
        if text == EMBEDDED:
            return cls("", EMBEDDED, is_embedded=True)
        if "\0" in text:
            raise _wrong("it holds a NUL character", "type it again")
        if not text:
            return _from_environment(environ)
        if _SCHEME.match(text):
            given, spoken = _read_url(text), _url_without_secrets(text)
        elif "=" in text:
            given = _read_assignments(text)
            spoken = make_conninfo(**{k: v for k, v in given.items() if k not in _secret_options()})
        else:
            given, spoken = _read_service_name(text, environ), text
        return _described(given, spoken, environ)

    def at(self, conninfo: str) -> Target:
        """The same target, reached through that conninfo: the embedded server, once it runs."""
        given = conninfo_to_dict(conninfo)
        return dataclasses.replace(
            self,
            conninfo=conninfo,
            host=_text(given.get("host")),
            port=_text(given.get("port")),
            database=_text(given.get("dbname")),
            user=_text(given.get("user")),
        )

    def describe(self) -> str:
        """``database servicedesk on db.example:5432 as sdetl``, or ``the embedded server``; never a password."""
        if self.is_embedded:
            return "the embedded server"
        place = self.host or "the local socket"
        if self.port and not place.startswith("/"):
            place += f":{self.port}"
        user = f" as {self.user}" if self.user else ""
        return f"database {self.database or self.user or 'of the same name as the user'} on {place}{user}"


def open_connection(
    target: Target, *, connect_timeout: int = 10, application_name: str = "sdetl", autocommit: bool = False
) -> psycopg.Connection[Any]:
    """A connection whose settings no role, database or server configuration can change; the caller closes it.

    ``connect_timeout`` in seconds, per host.  Raises TargetError with a kind of its own for every reason.
    """
    try:
        connection = psycopg.connect(_complete(target, connect_timeout, application_name), autocommit=True)
    except psycopg.Error as error:
        raise connection_error(error, target) from None
    try:
        _refuse_unsuitable(connection, target)
        _pin_settings(connection)
        connection.autocommit = autocommit
    except psycopg.Error as error:
        connection.close()
        raise connection_error(error, target) from None
    except BaseException:
        connection.close()
        raise
    return connection


def open_pool(
    target: Target, *, size: int = 4, connect_timeout: int = 10, application_name: str = "sdetl"
) -> ConnectionPool[psycopg.Connection[Any]]:
    """A pool of at most ``size`` such connections, each checked before it is handed out; the caller closes it.

    Raises TargetError as ``open_connection`` does, when the first connection cannot be made.
    """
    open_connection(target, connect_timeout=connect_timeout, application_name=application_name).close()
    # Without a handler Python would write the pool's reconnection messages to the terminal.
    logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())
    pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
        _complete(target, connect_timeout, application_name),
        min_size=1,
        max_size=size,
        timeout=float(connect_timeout) * 2,
        reconnect_timeout=float(connect_timeout),
        configure=_configure,
        check=ConnectionPool.check_connection,
        open=False,
        name="sdetl",
    )
    pool.open()
    return pool


def connection_error(error: psycopg.Error, target: Target) -> TargetError:
    """Why no connection came about, as a TargetError whose ``kind`` tells the reasons apart."""
    # What stands in quotes is a name of the site's own; "ssl.example" says nothing about TLS.
    text = re.sub(r"\"[^\"]*\"|'[^']*'", '""', str(error))
    place = target.describe()
    pgconn = error.pgconn
    if pgconn is not None and pgconn.needs_password:
        return TargetError(
            f"{place}: the server asks for a password and none was found",
            next_step=" ".join(["add the database to ~/.pgpass or set PGPASSWORD", *target.warnings]),
            kind="password",
        )
    for reason in _REASONS:
        if re.search(reason.pattern, text, re.IGNORECASE):
            return TargetError(f"{place}: {reason.sentence}", next_step=reason.step, kind=reason.kind)
    if pgconn is not None and pgconn.used_password:
        return TargetError(f"{place}: the login was refused", next_step="check user and password", kind="password")
    return TargetError(
        f"{place}: the connection could not be made, or broke",
        next_step="try the same with psql; its message says more",
        kind="unreachable",
    )


def statement_error(error: psycopg.Error, doing: str) -> TargetError:
    """What PostgreSQL said about a statement, without the content of a row.

    ``doing`` is what was being done, e.g. ``creating table tickets``.
    """
    state = error.sqlstate or ""
    if not state or (isinstance(error, psycopg.OperationalError) and state.startswith(("08", "57P"))):
        return TargetError(
            f"the connection to PostgreSQL broke while {doing}",
            next_step="look at the server, then continue with --resume",
            kind="connection-lost",
        )
    # Messages of class 22 (data exception) quote the value; those of class 23 only in their detail.
    message = "" if state.startswith("22") else f": {error.diag.message_primary}"
    kind, step = _STATES.get(state[:2], ("target", "correct that in the target, then continue with --resume"))
    return TargetError(f"PostgreSQL refused {doing} (SQLSTATE {state}){message}", next_step=step, kind=kind)


_STATES: Mapping[str, tuple[str, str]] = {
    "42": ("statement", "grant the missing right, or correct the name, then continue with --resume"),
    "53": ("resources", "free disk, memory or connections on the server, then continue with --resume"),
    "54": (
        "limit",
        "PostgreSQL holds some 8,000 bytes in a row beside long texts: leave out columns (source.exclude_columns)",
    ),
    "55": ("busy", "wait for the session that holds the lock, then continue with --resume"),
    "57": ("cancelled-by-server", "look at the server, then continue with --resume"),
}


class _Reason(NamedTuple):
    pattern: str
    kind: str
    sentence: str
    step: str


# The texts are libpq's and the server's; the first that fits decides.
_REASONS = (
    _Reason(
        "no pg_hba.conf entry|pg_hba.conf rejects",
        "access",
        "pg_hba.conf of the server lets no such login in",
        "ask for a line in pg_hba.conf for this host, user and database",
    ),
    _Reason(
        "(peer|ident) authentication failed",
        "access",
        "the server expects the operating-system user of the same name",
        "name -h localhost and a password, or run sdetl as that user",
    ),
    _Reason(
        "password authentication failed|empty password",
        "password",
        "the password was refused",
        "check user and password, in ~/.pgpass or PGPASSWORD",
    ),
    _Reason(
        "no password supplied",
        "password",
        "the server asks for a password and none was found",
        "add the database to ~/.pgpass or set PGPASSWORD",
    ),
    _Reason(
        'database ".*" does not exist',
        "database",
        "there is no such database",
        "create it with createdb, or correct the name",
    ),
    _Reason(
        'role ".*" does not exist',
        "role",
        "there is no such user",
        "create it with createuser, or correct the name",
    ),
    _Reason(
        "not permitted to log in",
        "role",
        "that role may not log in",
        "ALTER ROLE ... LOGIN, or use another user",
    ),
    _Reason(
        "permission denied for database",
        "rights",
        "the user may not connect to that database",
        "GRANT CONNECT ON DATABASE ... TO ...",
    ),
    _Reason(
        "not currently accepting connections",
        "database",
        "that database accepts no connections",
        "ALTER DATABASE ... ALLOW_CONNECTIONS true",
    ),
    _Reason(
        "too many (connections|clients)|connection slots are reserved|remaining connection slots",
        "connections",
        "the server has no connection left",
        "close other sessions, or raise the limit, then try again",
    ),
    _Reason(
        "starting up|shutting down|recovery mode|not yet accepting connections",
        "starting",
        "the server is starting, stopping or recovering",
        "wait a moment, then try again",
    ),
    _Reason(
        "unsupported startup parameter",
        "pooler",
        "a connection pooler answers, not PostgreSQL itself",
        "name the host and port of PostgreSQL itself",
    ),
    _Reason(
        "definition of service",
        "service",
        "the service is not defined",
        "add it to ~/.pg_service.conf",
    ),
    _Reason(
        "could not translate host name|failed to resolve host|name or service not known",
        "unreachable",
        "there is no host of that name",
        "correct the host name",
    ),
    _Reason(
        "closed the connection unexpectedly|received invalid response",
        "unreachable",
        "what listens there does not answer as PostgreSQL does",
        "correct host and port, or look at the server's log",
    ),
    _Reason(
        "certificate|SSL|TLS|GSSAPI",
        "tls",
        "no encrypted connection as asked for could be made",
        "check sslmode and sslrootcert against what the server offers",
    ),
    _Reason(
        "connection refused",
        "unreachable",
        "nothing listens there",
        "start the server, or correct host and port",
    ),
    _Reason(
        "no such file or directory",
        "unreachable",
        "there is no server socket there",
        "start the server, or name its host",
    ),
    _Reason(
        "timeout expired|timed out|connection timeout",
        "unreachable",
        "no answer in time",
        "check host, port and firewall",
    ),
    _Reason(
        "no route|network is unreachable|host is unreachable",
        "unreachable",
        "the network does not lead there",
        "check host and network",
    ),
    _Reason(
        "invalid .* value|invalid integer value|invalid connection option",
        "option",
        "libpq does not accept an option of the target",
        "correct the options in --target and the PG* variables",
    ),
)


def _complete(target: Target, connect_timeout: int, application_name: str) -> str:
    """The conninfo with what sdetl needs: encoding and name always, time limits where the operator gave none.

    A network that swallows packets is noticed after 15 seconds (``tcp_user_timeout``, milliseconds).
    """
    limits: dict[str, Any] = {
        "connect_timeout": connect_timeout,
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }
    given = conninfo_to_dict(target.conninfo)
    missing = {name: value for name, value in limits.items() if not given.get(name)}
    return make_conninfo(target.conninfo, **missing, client_encoding="UTF8", application_name=application_name[:63])


_PINNED: tuple[tuple[int, str, str], ...] = (
    (13, "search_path", "pg_catalog"),
    (13, "DateStyle", "ISO, YMD"),
    (13, "IntervalStyle", "postgres"),
    (13, "TimeZone", "UTC"),
    (13, "bytea_output", "hex"),
    (13, "extra_float_digits", "1"),
    (13, "standard_conforming_strings", "on"),
    (13, "statement_timeout", "0"),
    (13, "lock_timeout", "0"),
    (13, "idle_in_transaction_session_timeout", "0"),
    (14, "idle_session_timeout", "0"),
    (17, "transaction_timeout", "0"),
    (13, "default_transaction_read_only", "off"),
    (13, "default_transaction_isolation", "read committed"),
    (13, "default_transaction_deferrable", "off"),
    (13, "row_security", "off"),
    (13, "client_min_messages", "warning"),
)
"""(since major version, setting, value): whatever ALTER ROLE, ALTER DATABASE or PGOPTIONS say.  Row security off
makes a policy that hides rows an error."""


def _pin_settings(connection: psycopg.Connection[Any]) -> None:
    """In autocommit mode: a rolled back transaction would take the settings back with it."""
    major = connection.info.server_version // 10_000
    pinned = [(name, value) for since, name, value in _PINNED if major >= since]
    calls = ", ".join(["set_config(%s, %s, false)"] * len(pinned))
    connection.execute(f"SELECT {calls}", [word for pair in pinned for word in pair])


def _configure(connection: psycopg.Connection[Any]) -> None:
    connection.autocommit = True
    _pin_settings(connection)
    connection.autocommit = False


def _refuse_unsuitable(connection: psycopg.Connection[Any], target: Target) -> None:
    """Raise TargetError when the server is too old, a standby, behind a pooler, or the database is not UTF-8."""
    place = target.describe()
    version = connection.info.server_version
    if version < OLDEST_SERVER * 10_000:
        raise TargetError(
            f"{place}: the server is PostgreSQL {version // 10_000}; {OLDEST_SERVER} or newer is needed",
            next_step="upgrade the server, or name another target",
            kind="too-old",
        )
    row = connection.execute(
        "SELECT pg_is_in_recovery(), pg_backend_pid(), current_setting('server_encoding')"
    ).fetchone()
    assert row is not None
    in_recovery, backend, encoding = row
    if backend != connection.info.backend_pid:
        raise TargetError(
            f"{place}: a connection pooler stands between; locks and session settings would not hold",
            next_step="name the host and port of PostgreSQL itself",
            kind="pooler",
        )
    if in_recovery:
        raise TargetError(
            f"{place}: this server is a read-only standby",
            next_step="name the primary server",
            kind="standby",
        )
    if encoding != "UTF8":
        raise TargetError(
            f"{place}: the database's encoding is {encoding}; UTF8 is needed",
            next_step="create a database with ENCODING 'UTF8' TEMPLATE template0",
            kind="encoding",
        )


def _wrong(what: str, step: str) -> UsageError:
    return UsageError(f"--target: {what}", next_step=step)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _options() -> list[pq.ConninfoOption]:
    return pq.Conninfo.get_defaults()


def _secret_options() -> frozenset[str]:
    """The options that libpq itself marks as passwords."""
    return frozenset(o.keyword.decode() for o in _options() if o.dispchar == b"*")


def _known_options() -> frozenset[str]:
    return frozenset(o.keyword.decode() for o in _options())


def _read_url(text: str) -> dict[str, str]:
    """The options of a URL, after checking that every ``@ : / %`` can only mean what it seems to mean."""
    rest = _SCHEME.sub("", text, count=1)
    at = rest.find("@")
    if rest.count("@") > 1 or "/" in rest[: max(at, 0)]:
        raise _wrong(
            "the user or password of the URL holds an unescaped @ or /",
            "write @ as %40 and / as %2F, or leave the password out and put it into ~/.pgpass",
        )
    for field, value in _url_fields(rest):
        if _BAD_PERCENT.search(value):
            raise _wrong(
                f"the {field} of the URL holds a % that is not followed by two hexadecimal digits",
                "write % itself as %25",
            )
        if "%00" in value:
            raise _wrong(f"the {field} of the URL holds a NUL character", "correct it")
    try:
        given = {k: str(v) for k, v in conninfo_to_dict(text).items() if v is not None}
    except psycopg.Error:
        raise _wrong(
            f"the URL cannot be read: its {_unreadable_url_field(rest)} is wrong",
            "write postgresql://USER@HOST:PORT/DATABASE?option=value",
        ) from None
    return _checked(given)


def _url_fields(rest: str) -> Iterator[tuple[str, str]]:
    """(field name, raw text) of what follows the scheme."""
    user_part, at, place = rest.rpartition("@")
    if at:
        user, _, password = user_part.partition(":")
        yield "user", user
        yield "password", password
    place, _, query = place.partition("?")
    host, _, database = place.partition("/")
    yield "host", host
    yield "database", database
    for assignment in query.split("&"):
        name, _, value = assignment.partition("=")
        yield (f"option {name}" if name in _known_options() else "options"), value


def _unreadable_url_field(rest: str) -> str:
    place, _, query = rest.rpartition("@")[2].partition("?")
    host = place.partition("/")[0]
    if host.count("[") != host.count("]") or not re.fullmatch(r"(\[[^\]]*\]|[^\[\]])*", host):
        return "host"
    return "list of options after the ?" if query else "form"


def _url_without_secrets(text: str) -> str:
    """The URL without passwords; everything else as it was typed."""
    scheme = _SCHEME.match(text)
    assert scheme is not None
    user_part, at, place = text[scheme.end() :].rpartition("@")
    place, question, query = place.partition("?")
    secret = _secret_options()
    kept = [(k, v) for k, v in parse_qsl(query, keep_blank_values=True) if k not in secret]
    tail = "?" + urlencode(kept, quote_via=quote) if question and kept else ""
    return scheme[0] + user_part.partition(":")[0] + at + place + tail


def _read_assignments(text: str) -> dict[str, str]:
    """The options of a key/value string, which libpq would quote in its complaint."""
    known, before, position = _known_options(), None, 0
    while position < len(text):
        match = _ASSIGNMENT.match(text, position)
        if match is None or match[1] not in known:
            where = f"after the field {before}" if before else "from its first field on"
            raise _wrong(
                f"the key/value string cannot be read {where}",
                "write key=value pairs; a value with blanks or quotes stands in single quotes, \\' and \\\\ inside",
            )
        before, position = match[1], match.end()
        if not text[position:].strip():
            break
    try:
        given = {k: str(v) for k, v in conninfo_to_dict(text).items() if v is not None}
    except psycopg.Error:
        raise _wrong("the key/value string cannot be read", "write key=value pairs") from None
    return _checked(given)


def _checked(given: dict[str, str]) -> dict[str, str]:
    """The options, when those that have a form keep to it."""
    for port in given.get("port", "").split(","):
        if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise _wrong("the port is not a number from 1 to 65535", "correct the port")
    for name in _NUMBERS:
        if name in given and not re.fullmatch(r"-?[0-9]{1,9}", given[name]):
            raise _wrong(f"{name} is not a whole number", f"correct {name}")
    if given.get("sslmode", "prefer") not in _SSL_MODES:
        raise _wrong("sslmode is none that libpq knows", f"use one of {', '.join(_SSL_MODES)}")
    if re.search(r"[=/@]", given.get("dbname", "")):
        raise _wrong("the database name holds one of = / @", "escape them in the password, or use ~/.pgpass")
    return given


def _from_environment(environ: Mapping[str, str]) -> Target:
    """What psql alone would connect to.  Raises UsageError when no variable names a server or database."""
    if not any(environ.get(name) for name in ("PGHOST", "PGHOSTADDR", "PGDATABASE", "PGSERVICE", "PGPORT")):
        raise UsageError(
            "no target was named",
            next_step="name a URL, key=value pairs, a service or embedded with --target, or set PGHOST and PGDATABASE",
        )
    if service := environ.get("PGSERVICE"):
        return _described(_read_service_name(service, environ), service, environ)
    given = {}
    for option in _options():
        value = environ.get(option.envvar.decode()) if option.envvar else None
        if value:
            given[option.keyword.decode()] = value
    places = ("host", "hostaddr", "port", "dbname", "user")
    spoken = make_conninfo(**{name: given[name] for name in places if name in given})
    warnings = _password_file_warnings(given, environ)
    return dataclasses.replace(_described(_checked(given), spoken, environ), warnings=warnings)


def _described(given: Mapping[str, str], spoken: str, environ: Mapping[str, str]) -> Target:
    known = {**_environment_places(environ), **_service_options(given.get("service"), environ), **given}
    warnings = _password_file_warnings(known, environ)
    if _secret_options() & given.keys():
        warnings = (
            "The password stands on the command line, where every user of this machine can read it; use ~/.pgpass.",
            *warnings,
        )
    return Target(
        make_conninfo(**given),
        spoken,
        host=known.get("host") or known.get("hostaddr"),
        port=known.get("port"),
        database=known.get("dbname"),
        user=known.get("user"),
        warnings=warnings,
    )


def _environment_places(environ: Mapping[str, str]) -> dict[str, str]:
    names = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "passfile": "PGPASSFILE"}
    return {option: environ[name] for option, name in names.items() if environ.get(name)}


def _password_file_warnings(known: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """libpq ignores a password file that others may read, with no more than a line on stderr."""
    path = Path(known.get("passfile") or Path(environ.get("HOME", os.path.expanduser("~")), ".pgpass"))
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return ()
    if mode & 0o077 == 0:
        return ()
    return (f"The password file {path} is ignored: its permissions are {mode:04o} and must be 0600.",)


def _read_service_name(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    if not _WORD.fullmatch(text):
        raise _wrong(
            "this is neither a URL, nor key=value pairs, nor the name of a service",
            "write postgresql://USER@HOST/DATABASE, with the password in ~/.pgpass",
        )
    if not any(text == name for path in _service_files(environ) for name, _ in _sections(path)):
        files = ", ".join(str(p) for p in _service_files(environ))
        raise _wrong(
            f"no service of that name is in {files}",
            "add it there, or write a URL, key=value pairs or embedded",
        )
    _checked(_service_options(text, environ))
    return {"service": text}


def _service_files(environ: Mapping[str, str]) -> list[Path]:
    """Where libpq looks (https://www.postgresql.org/docs/current/libpq-pgservice.html)."""
    home = Path(environ.get("HOME", os.path.expanduser("~")))
    files = [Path(environ["PGSERVICEFILE"]) if environ.get("PGSERVICEFILE") else home / ".pg_service.conf"]
    if directory := environ.get("PGSYSCONFDIR"):
        files.append(Path(directory, "pg_service.conf"))
    return files


def _service_options(name: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """What the first section of that name says; for descriptions, since libpq reads it again by itself."""
    if name is None:
        return {}
    for path in _service_files(environ):
        for section, options in _sections(path):
            if section == name:
                return options
    return {}


def _sections(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    name: str | None = None
    options: dict[str, str] = {}
    for line in map(str.strip, lines):
        if line.startswith("[") and line.endswith("]"):
            if name is not None:
                yield name, options
            name, options = line[1:-1], {}
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            options.setdefault(key.strip(), value.strip())
    if name is not None:
        yield name, options
