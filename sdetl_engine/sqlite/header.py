"""What the first bytes of a file say: the facts of an SQLite header, or what kind of file it is instead.

Works on bytes; opens nothing.  The layout is that of https://www.sqlite.org/fileformat2.html#the_database_header
"""

from __future__ import annotations

import collections
import dataclasses
import math
import struct

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
PROBE_BYTES = 4096
"""How much of a file `other_kind` likes to see."""
JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")

_ENCODINGS = {0: "UTF-8", 1: "UTF-8", 2: "UTF-16le", 3: "UTF-16be"}
_NEWEST_FORMAT = 4
_NEWEST_VERSION = 2
_WAL_VERSION = 2
_RANDOM_BITS_PER_BYTE = 7.3


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """The header of an SQLite file.  ``page_count`` is None when the file does not say it reliably."""

    page_size: int
    page_count: int | None
    write_version: int
    read_version: int
    schema_format: int
    encoding: str
    change_counter: int
    user_version: int
    application_id: int
    writer_version: str
    """The SQLite that wrote last, as ``3.40.1``."""

    @property
    def wal(self) -> bool:
        """True when the file is in WAL mode."""
        return _WAL_VERSION in (self.write_version, self.read_version)

    @property
    def needs_newer_sqlite(self) -> bool:
        """True when the file says that this version of the format does not cover it."""
        return max(self.write_version, self.read_version) > _NEWEST_VERSION or self.schema_format > _NEWEST_FORMAT


def read_header(block: bytes) -> Header:
    """The facts in the first 100 bytes, which begin with `MAGIC`.

    Raises ValueError with the reason when they contradict the file format.
    """
    if len(block) < HEADER_BYTES:
        raise ValueError(f"it ends after {len(block)} of the {HEADER_BYTES} bytes of its header")
    raw_size, write_version, read_version, _reserved, *fractions = struct.unpack(">HBBBBBB", block[16:24])
    counter, pages = struct.unpack(">II", block[24:32])
    schema_format, encoding, user_version, application_id = struct.unpack(">I8xIi4xi", block[44:72])
    valid_for, library = struct.unpack(">II", block[92:100])
    page_size = 65536 if raw_size == 1 else raw_size
    if page_size < 512 or page_size & (page_size - 1):
        raise ValueError("its header names an impossible page size")
    if fractions != [64, 32, 32]:
        raise ValueError("its header holds impossible payload fractions")
    if encoding not in _ENCODINGS:
        raise ValueError("its header names an unknown text encoding")
    return Header(
        page_size=page_size,
        page_count=pages if pages and counter == valid_for else None,
        write_version=write_version,
        read_version=read_version,
        schema_format=schema_format,
        encoding=_ENCODINGS[encoding],
        change_counter=counter,
        user_version=user_version,
        application_id=application_id,
        writer_version=f"{library // 1_000_000}.{library // 1000 % 1000}.{library % 1000}",
    )


def is_journal(block: bytes) -> bool:
    """True for the beginning of a rollback journal that SQLite would play back."""
    return block.startswith(JOURNAL_MAGIC)


def other_kind(block: bytes) -> str:
    """What a file that does not begin with `MAGIC` is, as a noun phrase (``"a gzip archive"``)."""
    for magic, kind in _MAGICS.items():
        if block.startswith(magic):
            return kind
    if not block.strip(b"\0"):
        return "filled with zero bytes"
    return _kind_of_text(block) or "in a format that is not known here"


def looks_encrypted(block: bytes, size: int) -> bool:
    """True for whole pages of bytes without any pattern: what SQLCipher and SEE leave of a database."""
    if size % 512 or len(block) < 1024 or other_kind(block) != "in a format that is not known here":
        return False
    return _bits_per_byte(block) > _RANDOM_BITS_PER_BYTE


def _bits_per_byte(block: bytes) -> float:
    counts = collections.Counter(block).values()
    return -sum(n / len(block) * math.log2(n / len(block)) for n in counts)


def _kind_of_text(block: bytes) -> str | None:
    try:
        text = block.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The probe may end in the middle of a character.
        if error.start < len(block) - 3:
            return None
        text = block[: error.start].decode("utf-8-sig")
    if any(ord(c) < 32 and c not in "\t\r\n\f\x1b" for c in text):
        return None
    upper = text.lstrip().upper()
    if "POSTGRESQL DATABASE DUMP" in upper:
        return "a PostgreSQL dump in SQL"
    if upper.startswith(("PRAGMA ", "BEGIN TRANSACTION", "CREATE TABLE", "INSERT INTO", "-- ")):
        return "an SQL script"
    if upper.startswith(("<!DOCTYPE HTML", "<HTML")):
        return "a web page"
    lines = [line for line in text.splitlines()[:-1] if line] or [text]
    separated = any(
        all(line.count(mark) == lines[0].count(mark) for line in lines) and mark in lines[0] for mark in ",;\t"
    )
    return "a CSV file" if separated else "a text file"


_MAGICS = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\0": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"PGDMP": "a PostgreSQL dump in pg_dump's custom format",
    b"\x37\x7f\x06\x82": "the -wal of an SQLite database, not the database",
    b"\x37\x7f\x06\x83": "the -wal of an SQLite database, not the database",
    JOURNAL_MAGIC: "the -journal of an SQLite database, not the database",
    b"** This file contains an SQLite 2": "a database of SQLite 2",
    b"\x00\x01\x00\x00Standard ": "a Microsoft Access database",
}
