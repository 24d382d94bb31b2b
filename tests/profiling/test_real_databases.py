"""Databases of real applications: what they are told, and what they are asked."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from sdetl_engine.demo.source import build_source
from sdetl_engine.findings import Severity
from tests.profiling import measured


def asked(profiled: measured.Profiled) -> set[tuple[str, str | None, str | None]]:
    """What needs a decision."""
    everything = (*profiled.judged.findings, *profiled.findings)
    return {(f.rule, f.table, f.column) for f in everything if f.severity in (Severity.REVIEW, Severity.HALT)}


@pytest.mark.parametrize(
    "name",
    [
        "pgloader/Chinook_Sqlite.sqlite",
        "pgloader/storage.sqlite",
        "pgloader/test_pk.db",
        "sqlite/django_helpdesk_demo.sqlite3",
        "sqlite/firefox_places.sqlite",
        "sqlite/helpdesk_lab.db",
        "sqlite/northwind_small.sqlite",
        "sqlite/orphan_foreign_key.db",
        "sqlite/trac_issue_tracker.db",
    ],
)
def test_a_sound_database_needs_no_agreement(tmp_path: Path, name: str) -> None:
    assert asked(measured.profile(measured.real(name, tmp_path))) == set()


def test_types_serve_the_applications(tmp_path: Path) -> None:
    chinook = measured.profile(measured.real("pgloader/Chinook_Sqlite.sqlite", tmp_path))
    assert chinook.verdict("Total", "Invoice").chosen == "numeric(10,2)"
    assert chinook.verdict("InvoiceDate", "Invoice").chosen == "timestamp"
    northwind = measured.profile(measured.real("sqlite/northwind_small.sqlite", tmp_path))
    assert northwind.verdict("OrderDate", "Order").chosen == "date"
    assert northwind.verdict("PostalCode", "Customer").chosen == "text"
    trac = measured.profile(measured.real("sqlite/trac_issue_tracker.db", tmp_path))
    assert trac.verdict("time", "ticket").chosen == "bigint"
    storage = measured.profile(measured.real("pgloader/storage.sqlite", tmp_path))
    assert storage.verdict("file_data", "files").chosen == "text"


def test_pgloaders_own_dirt_is_asked_about(tmp_path: Path) -> None:
    mismatch = measured.profile(measured.real("pgloader/type-mismatch.db", tmp_path))
    assert asked(mismatch) == {("BREAKER-COLUMNS", "products", "qty"), ("TYPE-MISMATCH", "products", "qty")}
    odd = measured.profile(measured.real("pgloader/sqlite.db", tmp_path))
    assert asked(odd) == {
        ("BREAKER-DATES", "stamps", "StartTime"),
        ("BREAKER-DATES", "stamps", "EndTime"),
        ("TYPE-MISMATCH", "stamps", "StartTime"),
        ("TYPE-MISMATCH", "stamps", "EndTime"),
        ("TYPE-MISMATCH", "intege", "id"),
        ("KEY-NULL", "autoinc", "id"),
    }


def test_the_servicedesk_is_told_about_its_dirt_and_asked_nothing(tmp_path: Path) -> None:
    build_source(tmp_path / "demo.db", rows=4000)
    profiled = measured.profile(tmp_path / "demo.db")
    assert asked(profiled) == set()
    assert {"DATE-TO-ISO", "WHOLE-REALS", "LEADING-ZEROS"} <= profiled.rules()
    with contextlib.closing(sqlite3.connect(tmp_path / "demo.db")) as connection:
        declared = {
            row[1]: row[2]
            for row in connection.execute("PRAGMA table_info(tickets)")
            if row[1].endswith(("Time", "Date")) and row[2] in ("TEXT", "TIMESTAMP")
        }
    assert {profiled.verdict(name, "tickets").chosen for name in declared} == {"timestamp"}
