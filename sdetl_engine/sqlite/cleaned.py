"""The cleaned copy: a new file like the source, with ISO dates and NULL for missing, and the ledger beside it.

The copy is made page by page, so that schema, encoding, rowids and everything that SQL cannot say stay as they are;
then only the cells that a rule changes are updated.  The ledger is not what the rewriting claims to have done: it is
what reading both files back finds different, and every difference must be explained by a rule that is in force.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sdetl_engine.errors import UsageError, ValidationFailed
from sdetl_engine.events import Reporter
from sdetl_engine.processes import beside
from sdetl_engine.sqlite import ledger, rewriting
from sdetl_engine.sqlite.addressing import RowKey, Window, key_text, row_key, windows
from sdetl_engine.sqlite.digest import table_digest
from sdetl_engine.sqlite.guard import stoppable
from sdetl_engine.sqlite.open import open_readonly, open_writable, quote
from sdetl_engine.sqlite.partial import new_files, sweep_partials, writing
from sdetl_engine.sqlite.rewriting import ColumnRewriting, ColumnRules, Rule, TableRewriting, plan_rewriting
from sdetl_engine.sqlite.sound import check_sound, is_about_data
from sdetl_engine.values.schema import Schema, Table
from sdetl_engine.wording import counted, inflected

__all__ = ["Change", "CleanResult", "ColumnRules", "Kept", "clean", "count_changes", "preview", "sweep_partials"]

_BLOCK = 8 * 1024 * 1024
_LONG_BYTES = 32 * 1024 * 1024
"""A file of this size is read in about the time that a process needs to start."""
_RECOMPUTED_PER_WINDOW = 200
_TERMS_AT_ONCE = 100
_REFUSED = "a UNIQUE or CHECK rule of the table forbids the cleaned value"
_REPORT_IT = "nothing was kept; report it with the run's log"


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """Cells that a rule would have changed and that stayed as they are, because the table forbids the new value."""

    table: str
    column: str
    why: str
    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class CleanResult:
    """What was done, as read back from the finished files."""

    rows: Mapping[str, int]
    """Rows by table: the same in the source and in the cleaned file."""
    cells_changed: int
    by_rule: Mapping[str, int]
    by_column: Mapping[str, int]
    """Changed cells by ``table.column``; columns without any are absent, as are rules in ``by_rule``."""
    counts: tuple[ledger.Count, ...]
    kept: tuple[Kept, ...]
    second_pass_changes: int
    """Cells that cleaning the cleaned file again would change."""


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One cell as it is and as cleaning would leave it: content of the source, never to be logged."""

    row_key: str
    before: ledger.Value
    after: ledger.Value


@dataclasses.dataclass(frozen=True, slots=True)
class _Watch:
    """What is asked between windows."""

    reporter: Reporter
    health: Callable[[], None]

    def between(self) -> None:
        self.reporter.check()
        self.health()


def clean(
    source: Path,
    output: Path,
    ledger_path: Path,
    schema: Schema,
    rules: Mapping[tuple[str, str], ColumnRules],
    *,
    reporter: Reporter,
    health: Callable[[], None],
) -> CleanResult:
    """Write the cleaned copy of ``source`` to ``output`` and every changed cell to ``ledger_path``.

    ``source`` is a file of the run that nobody writes; ``rules`` go by (table, column); ``health`` is called between
    windows of rows and raises to stop.  Both files appear, validated, when all is done, or none does.
    Raises UsageError when a name is taken or a rule names no column, ValidationFailed when the files read back differ
    in anything but what the rules explain, SourceError, ResourceError, Cancelled.
    """
    _refuse_same(source, output, ledger_path)
    plan = plan_rewriting(schema, rules)
    watch = _Watch(reporter, health)
    # The cleaned file takes its name last: with it the pair is complete.
    with new_files(ledger_path, output) as (ledger_file, clean_file):
        rewritten, kept = _write_copy(source, clean_file, plan, watch)
        examination = functools.partial(_examine, source, clean_file, plan)
        with beside(examination, reporter, is_long=clean_file.stat().st_size >= _LONG_BYTES) as examined:
            rows, counts = _write_ledger(source, clean_file, ledger_file, plan, rewritten, watch)
            again = _count_again(clean_file, plan, examined(), reporter)
        watch.between()
    return _result(rows, counts, kept, again)


def count_changes(
    path: Path, schema: Schema, rules: Mapping[tuple[str, str], ColumnRules], *, reporter: Reporter
) -> int:
    """How many cells cleaning the file at ``path`` would change now.  Of a cleaned file 0 proves that twice is once.

    Where a UNIQUE or CHECK rule may stand in the way, a scratch copy beside the file is cleaned to find out.
    Raises SourceError, ResourceError, Cancelled.
    """
    plan = plan_rewriting(schema, rules)
    return _count_again(path, plan, _wanted(path, plan, reporter), reporter)


def _count_again(path: Path, plan: Sequence[TableRewriting], wanted: Mapping[str, int], reporter: Reporter) -> int:
    """How many of the cells that rules ask for a cleaning would really change."""
    if not any(wanted.values()):
        return 0
    unsure = any(wanted[table.table.name] and rewriting.may_be_refused(table) for table in plan if table.active)
    return _count_by_cleaning(path, plan, wanted, reporter) if unsure else sum(wanted.values())


def preview(
    source: Path,
    schema: Schema,
    rules: Mapping[tuple[str, str], ColumnRules],
    table: str,
    column: str,
    limit: int = 20,
    *,
    reporter: Reporter,
) -> tuple[Change, ...]:
    """The first ``limit`` cells of a column that cleaning would change; nothing is written.

    Raises SourceError, ResourceError, Cancelled.
    """
    plan = plan_rewriting(schema, {name: rule for name, rule in rules.items() if name == (table, column)})
    wanted = next((item for item in plan if item.table.name == table and item.active), None)
    if wanted is None:
        return ()
    key = _key_of(wanted.table)
    term = f"t.{rewriting.quoted(wanted.active[0])}"
    allowed = wanted.active[0].rules
    query = (
        f"SELECT {key_text(wanted.table, key, 't')}, {term}, {rewriting.cleaned(allowed, term)}"
        f" FROM {quote(table)} AS t NOT INDEXED WHERE {rewriting.changes(allowed, term)} LIMIT ?"
    )
    with (
        writing(source.parent),
        contextlib.closing(_open_with_dates(source)) as connection,
        stoppable(connection, reporter),
    ):
        connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
        return tuple(Change(*row) for row in connection.execute(query, (limit,)))


# --- writing the copy ---------------------------------------------------------------------------------------------


def _write_copy(
    source: Path, target: Path, plan: Sequence[TableRewriting], watch: _Watch
) -> tuple[Mapping[str, int], tuple[Kept, ...]]:
    """Copy the file, then rewrite it table by table.  Returns the rows that were rewritten, and the cells kept."""
    _copy(source, target, watch)
    rewritten: dict[str, int] = {}
    kept: list[Kept] = []
    with _transaction(target, watch.reporter) as connection:
        rewriting.register(connection)
        for table in plan:
            watch.between()
            kept += _forbidden(connection, table)
            if table.active:
                with _without_triggers(connection, table.table):
                    rewritten[table.table.name] = _rewrite(connection, table, watch) + _retry(connection, table)
                    kept += _refused(connection, table)
    return rewritten, tuple(kept)


def _copy(source: Path, target: Path, watch: _Watch) -> None:
    """Copy the bytes.  The source must be quiet: what its -wal or -journal holds would be missed."""
    for suffix in ("-wal", "-journal"):
        beside = source.with_name(source.name + suffix)
        if beside.exists() and beside.stat().st_size:
            raise UsageError(
                f"{source} is not quiet: {beside.name} holds a part of it", next_step="clean a frozen copy"
            )
    size = source.stat().st_size
    with source.open("rb") as reading, target.open("r+b") as copy:
        while block := reading.read(_BLOCK):
            copy.write(block)
            watch.reporter.progress("copying the source", copy.tell(), size, "bytes")
            watch.between()


@contextlib.contextmanager
def _transaction(path: Path, reporter: Reporter) -> Iterator[sqlite3.Connection]:
    """One exclusive transaction over a file that is thrown away when it does not end well."""
    with contextlib.closing(open_writable(path)) as connection, stoppable(connection, reporter):
        _without_journal(connection)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        yield connection
        connection.execute("COMMIT")


def _without_journal(connection: sqlite3.Connection) -> None:
    # Nobody sees the file before it is whole and fsynced, so that nothing is ever rolled back.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute("PRAGMA temp_store = MEMORY")


@contextlib.contextmanager
def _without_triggers(connection: sqlite3.Connection, table: Table) -> Iterator[None]:
    """Triggers would fire on the rewriting; they are taken out and put back as they were written."""
    triggers = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?)", (table.name,)
    ).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {quote(name)}")
    yield
    for _, sql in triggers:
        connection.execute(sql)


def _rewrite(connection: sqlite3.Connection, table: TableRewriting, watch: _Watch) -> int:
    """Update every row in which a rule may change a cell; returns how many.  Rows that a constraint refuses stay."""
    name = table.table.name
    key = _key_of(table.table)
    assignments = ", ".join(
        f"{rewriting.quoted(column)} = {rewriting.cleaned(column.rules, rewriting.quoted(column))}"
        for column in table.active
    )
    wanted = _any_of([rewriting.may_change(column.rules, rewriting.quoted(column)) for column in table.active])
    total = _count_rows(connection, "main", table.table)
    done = rewritten = 0
    for window in windows(connection, table.table, key, total):
        cursor = connection.execute(
            f"UPDATE OR IGNORE main.{quote(name)} NOT INDEXED SET {assignments}"
            f" WHERE {window.condition(key)} AND {wanted}"
        )
        rewritten += cursor.rowcount
        done += window.rows
        watch.reporter.progress(f"cleaning {name}", done, total)
        watch.between()
    return rewritten


def _retry(connection: sqlite3.Connection, table: TableRewriting) -> int:
    """Where a constraint refused a row, change column by column what can be changed; returns how many cells it was."""
    if not rewriting.may_be_refused(table) or not any(_count_wanted(connection, table)):
        return 0
    changed = 0
    for column in table.active:
        term = rewriting.quoted(column)
        changed += connection.execute(
            f"UPDATE OR IGNORE main.{quote(table.table.name)} NOT INDEXED"
            f" SET {term} = {rewriting.cleaned(column.rules, term)} WHERE {rewriting.changes(column.rules, term)}"
        ).rowcount
    return changed


def _refused(connection: sqlite3.Connection, table: TableRewriting) -> list[Kept]:
    """The cells that a rule would still change, because a constraint refused it."""
    if not rewriting.may_be_refused(table):
        return []
    remaining = zip(table.active, _count_wanted(connection, table), strict=True)
    return [Kept(table.table.name, column.column, _REFUSED, count) for column, count in remaining if count]


def _forbidden(connection: sqlite3.Connection, table: TableRewriting) -> list[Kept]:
    """How many cells stay as they are because the declaration of their column forbids the change."""
    columns = [(column, column.forbidden) for column in table.columns if column.forbidden]
    if not columns:
        return []
    counts = _count_where(
        connection, table.table, [rewriting.changes(rules, rewriting.quoted(column)) for column, rules in columns]
    )
    return [
        Kept(table.table.name, column.column, column.why, count)
        for (column, _), count in zip(columns, counts, strict=True)
        if count
    ]


def _count_wanted(connection: sqlite3.Connection, table: TableRewriting) -> list[int]:
    """For each active column how many cells its rules would change."""
    terms = [rewriting.changes(column.rules, rewriting.quoted(column)) for column in table.active]
    return _count_where(connection, table.table, terms)


def _count_where(connection: sqlite3.Connection, table: Table, conditions: Sequence[str]) -> list[int]:
    terms = ", ".join(f"coalesce(sum({condition}), 0)" for condition in conditions)
    return list(connection.execute(f"SELECT {terms} FROM main.{quote(table.name)} NOT INDEXED").fetchone())


def _count_by_cleaning(
    path: Path, plan: Sequence[TableRewriting], wanted: Mapping[str, int], reporter: Reporter
) -> int:
    """Clean a scratch copy and count what is then still wanted: the difference is what would change."""
    watch = _Watch(reporter, lambda: None)
    with writing(path.parent), tempfile.TemporaryDirectory(dir=path.parent, prefix=".again-") as folder:
        scratch = Path(folder) / path.name
        scratch.touch()
        _write_copy(path, scratch, plan, watch)
        with contextlib.closing(_open_with_dates(scratch)) as connection, stoppable(connection, reporter):
            remaining = sum(sum(_count_wanted(connection, table)) for table in plan if table.active)
    return sum(wanted.values()) - remaining


def _examine(source: Path, clean_file: Path, plan: Sequence[TableRewriting], *, reporter: Reporter) -> dict[str, int]:
    """Refuse a damaged file; count by table what cleaning it again would ask for."""
    _refuse_damage(source, clean_file, reporter)
    return _wanted(clean_file, plan, reporter)


def _wanted(path: Path, plan: Sequence[TableRewriting], reporter: Reporter) -> dict[str, int]:
    with (
        writing(path.parent),
        contextlib.closing(_open_with_dates(path)) as connection,
        stoppable(connection, reporter),
    ):
        return {table.table.name: sum(_count_wanted(connection, table)) for table in plan if table.active}


# --- reading back, into the ledger --------------------------------------------------------------------------------


def _write_ledger(
    source: Path,
    clean_file: Path,
    ledger_file: Path,
    plan: Sequence[TableRewriting],
    rewritten: Mapping[str, int],
    watch: _Watch,
) -> tuple[Mapping[str, int], tuple[ledger.Count, ...]]:
    """Compare the files row by row; every difference becomes a line.  Returns rows by table and the lines counted.

    Raises ValidationFailed for a difference that no rule explains, and when the number of rows that differ is not the
    number of rows that were rewritten.
    """
    rows: dict[str, int] = {}
    counts: list[ledger.Count] = []
    with contextlib.closing(open_writable(ledger_file)) as connection, stoppable(connection, watch.reporter):
        _attach(connection, source, clean_file)
        connection.execute("BEGIN")
        ledger.create(connection)
        for table in plan:
            watch.between()
            rows[table.table.name] = _equal_rows(connection, table.table)
            key = row_key(table.table)
            if key is None:
                _compare_digests(source, clean_file, table.table, watch.reporter)
                continue
            reading = _ReadingBack(connection, table, key, rows[table.table.name])
            differing = reading.read(watch)
            _compare_counts(table.table, rewritten.get(table.table.name, 0), differing)
            counts += reading.counts()
        ledger.write_counts(connection, counts)
        connection.execute("COMMIT")
    return rows, tuple(counts)


class _ReadingBack:
    """One table, read from both files in step."""

    def __init__(self, connection: sqlite3.Connection, rewriting_: TableRewriting, key: RowKey, rows: int) -> None:
        self._connection = connection
        self._table = rewriting_.table
        self._active = rewriting_.active
        self._key = key
        self._rows = rows
        self._counts: dict[tuple[str, Rule], int] = {}

    def read(self, watch: _Watch) -> int:
        """Write the table's lines; returns the number of rows that differ."""
        pairs = ", ".join(f"b{number}, a{number}" for number in range(len(self._active)))
        self._connection.execute(f"CREATE TEMP TABLE changed(strange, row_key{', ' + pairs if pairs else ''})")
        differing = done = 0
        for window in windows(self._connection, self._table, self._key, self._rows, "source"):
            differing += self._read_window(window)
            done += window.rows
            watch.reporter.progress(f"reading back {self._table.name}", done, self._rows)
            watch.between()
        self._connection.execute("DROP TABLE temp.changed")
        return differing

    def counts(self) -> list[ledger.Count]:
        """The lines by column and rule."""
        return [ledger.Count(self._table.name, column, rule, n) for (column, rule), n in sorted(self._counts.items())]

    def _read_window(self, window: Window) -> int:
        found = self._connection.execute(f"INSERT INTO temp.changed {self._differences(window)}").rowcount
        if found:
            self._refuse_strange()
            for number, column in enumerate(self._active):
                self._write_lines(number, column)
            self._connection.execute("DELETE FROM temp.changed")
        return found

    def _differences(self, window: Window) -> str:
        """SELECT of the rows that differ: whether in something without rules, the key, then before and after."""
        names = {column.column for column in self._active}
        # A generated column holds nothing of its own, and may rightly follow a cell that changed.
        others = [c.name for c in self._table.columns if c.name not in names and c.generated is None]
        lost = f"c.{self._key.terms[0]} IS NULL"
        strange = _any_of([lost, *(_differs(f"s.{quote(name)}", f"c.{quote(name)}") for name in others)])
        ruled = [(f"s.{quote(column.column)}", f"c.{quote(column.column)}") for column in self._active]
        pairs = "".join(f", {before}, {after}" for before, after in ruled)
        name = quote(self._table.name)
        return (
            f"SELECT {strange}, {key_text(self._table, self._key, 's')}{pairs}"
            f" FROM source.{name} AS s NOT INDEXED LEFT JOIN clean.{name} AS c ON {self._key.equal('c', 's')}"
            f" WHERE {window.condition(self._key, 's')} AND {_any_of([*(_differs(*pair) for pair in ruled), strange])}"
        )

    def _refuse_strange(self) -> None:
        (strange,) = self._connection.execute("SELECT count(*) FROM temp.changed WHERE strange").fetchone()
        if strange:
            raise ValidationFailed(
                f"{strange} rows of table {self._table.name} are lost or changed where no rule applies",
                next_step=_REPORT_IT,
            )

    def _write_lines(self, number: int, column: ColumnRewriting) -> None:
        before, after = f"b{number}", f"a{number}"
        differs = _differs(before, after)
        (found,) = self._connection.execute(f"SELECT count(*) FROM temp.changed WHERE {differs}").fetchone()
        written = 0
        for rule, explained in rewriting.explained_by(column.rules, before, after).items():
            cursor = self._connection.execute(
                'INSERT INTO main.ledger("table", row_key, "column", rule, before, after)'
                f" SELECT ?, row_key, ?, ?, {before}, {after} FROM temp.changed WHERE {differs} AND {explained}",
                (self._table.name, column.column, rule.value),
            )
            if cursor.rowcount:
                written += cursor.rowcount
                self._counts[column.column, rule] = self._counts.get((column.column, rule), 0) + cursor.rowcount
                if rule in (Rule.DATE_TO_ISO, Rule.NUMBER_TO_DATE):
                    self._recompute(column, int(cursor.lastrowid or 0), cursor.rowcount)
        if written != found:
            raise ValidationFailed(
                f"of {found} changed cells in {self._table.name}.{column.column} the rules explain {written}",
                next_step=_REPORT_IT,
            )

    def _recompute(self, column: ColumnRewriting, last_id: int, count: int) -> None:
        """Read a share of the lines just written and apply the rule to them in Python, not in SQL."""
        step = max(1, count // _RECOMPUTED_PER_WINDOW)
        ids = range(last_id - count + 1, last_id + 1, step)
        for line_id in ids:
            before, after = self._connection.execute(
                "SELECT before, after FROM main.ledger WHERE id = ?", (line_id,)
            ).fetchone()
            if column.rules.iso(before) != after:
                raise ValidationFailed(
                    f"a date in {self._table.name}.{column.column} was not rewritten as the rule has it",
                    next_step=_REPORT_IT,
                )


def _attach(connection: sqlite3.Connection, source: Path, clean_file: Path) -> None:
    """Make the two files ``source`` and ``clean``, read only, beside the ledger.

    Files on one connection must have one encoding, so the ledger takes the source's.
    """
    with contextlib.closing(open_readonly(source)) as reading:
        (encoding,) = reading.execute("PRAGMA encoding").fetchone()
    connection.execute(f"PRAGMA encoding = '{encoding}'")
    _without_journal(connection)
    for name, path in (("source", source), ("clean", clean_file)):
        connection.execute(f"ATTACH ? AS {name}", (f"{path.absolute().as_uri()}?mode=ro",))
        connection.execute(f"PRAGMA {name}.cache_size = -16384")
    rewriting.register(connection)


def _equal_rows(connection: sqlite3.Connection, table: Table) -> int:
    before, after = (_count_rows(connection, schema, table) for schema in ("source", "clean"))
    if before != after:
        raise ValidationFailed(
            f"table {table.name} has {before} rows in the source and {after} in the cleaned file",
            next_step=_REPORT_IT,
        )
    return before


def _compare_counts(table: Table, rewritten: int, differing: int) -> None:
    if differing > rewritten:
        raise ValidationFailed(
            f"{counted(rewritten, 'row')} of table {table.name} {inflected(rewritten, 'was', 'were')} rewritten, and {differing} read back different",
            next_step=_REPORT_IT,
        )


def _compare_digests(source: Path, clean_file: Path, table: Table, reporter: Reporter) -> None:
    with (
        contextlib.closing(open_readonly(source)) as before,
        contextlib.closing(open_readonly(clean_file)) as after,
    ):
        if table_digest(before, table, reporter) != table_digest(after, table, reporter):
            raise ValidationFailed(f"table {table.name} changed where no rule applies", next_step=_REPORT_IT)


def _refuse_damage(source: Path, clean_file: Path, reporter: Reporter) -> None:
    """The integrity check of the cleaned file; broken rules of the data may come from the source, damage may not."""
    with contextlib.closing(open_readonly(clean_file)) as connection:
        found = set(check_sound(connection, reporter))
    if not found:
        return
    with contextlib.closing(open_readonly(source)) as connection:
        found -= set(check_sound(connection, reporter))
    if damage := sorted(message for message in found if not is_about_data(message)) or sorted(found):
        raise ValidationFailed(f"the cleaned file is not sound: {damage[0]}", next_step=_REPORT_IT)


# --- small things -------------------------------------------------------------------------------------------------


def _refuse_same(source: Path, output: Path, ledger_path: Path) -> None:
    for path in (output, ledger_path):
        if path.absolute() == source.absolute() or (path.exists() and os.path.samefile(path, source)):
            raise UsageError(f"{path} is the source itself", next_step="name a file that is not there")
    if output.absolute() == ledger_path.absolute():
        raise UsageError(f"{output} cannot be the cleaned file and its ledger", next_step="give them two names")


def _result(rows: Mapping[str, int], counts: Sequence[ledger.Count], kept: tuple[Kept, ...], again: int) -> CleanResult:
    by_rule: dict[str, int] = {}
    by_column: dict[str, int] = {}
    for count in counts:
        by_rule[count.rule.value] = by_rule.get(count.rule.value, 0) + count.cells
        name = f"{count.table}.{count.column}"
        by_column[name] = by_column.get(name, 0) + count.cells
    return CleanResult(rows, sum(by_rule.values()), by_rule, by_column, tuple(counts), kept, again)


def _open_with_dates(path: Path) -> sqlite3.Connection:
    connection = open_readonly(path)
    rewriting.register(connection)
    return connection


def _key_of(table: Table) -> RowKey:
    """The key of a table that has active rules, and therefore a key."""
    key = row_key(table)
    assert key is not None
    return key


def _count_rows(connection: sqlite3.Connection, schema: str, table: Table) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {schema}.{quote(table.name)}").fetchone()[0])


def _differs(before: str, after: str) -> str:
    return f"{before} IS NOT {after} COLLATE BINARY"


def _any_of(conditions: Sequence[str]) -> str:
    """The conditions joined by OR, in groups, because the depth of an expression is limited."""
    groups = [
        "(" + " OR ".join(f"({condition})" for condition in conditions[start : start + _TERMS_AT_ONCE]) + ")"
        for start in range(0, len(conditions), _TERMS_AT_ONCE)
    ]
    return "(" + " OR ".join(groups) + ")"
