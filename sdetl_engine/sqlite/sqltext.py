"""Reading the CREATE statements that SQLite keeps in ``sqlite_schema``, for what no pragma tells.

Only statements that SQLite itself has accepted are read, so this is a tokenizer and a walk over the clauses, not a
validating parser.  Grammar: ``parse.y`` and https://www.sqlite.org/lang_createtable.html
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterator, Sequence


class Sort(enum.Enum):
    """What a token is."""

    WORD = enum.auto()
    """A bare identifier or keyword."""
    QUOTED = enum.auto()
    """A name in double quotes, back quotes or brackets."""
    STRING = enum.auto()
    OTHER = enum.auto()
    """A number, a variable, an operator or punctuation."""


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL with its place in the text.  Blanks and comments are no tokens."""

    sort: Sort
    text: str
    start: int

    @property
    def end(self) -> int:
        """The place after the token."""
        return self.start + len(self.text)

    @property
    def keyword(self) -> str:
        """The word in capitals; empty for anything that is not a bare word."""
        return self.text.upper() if self.sort is Sort.WORD else ""

    @property
    def name(self) -> str:
        """What the token stands for when it is a name: without its quotes."""
        if self.sort in (Sort.WORD, Sort.OTHER):
            return self.text
        closing = self.text[-1]
        inner = self.text[1:-1]
        return inner if closing == "]" else inner.replace(closing * 2, closing)


@dataclasses.dataclass(frozen=True, slots=True)
class ParsedForeignKey:
    """A REFERENCES clause: the parent's name as written, and whether the check may wait."""

    parent: str
    deferrable: bool = False
    initially_deferred: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class ParsedColumn:
    """What the text of one column definition adds to the pragmas."""

    name: str
    collation: str | None = None
    generation: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ParsedTable:
    """What the text of CREATE TABLE adds to the pragmas.  ``foreign_keys`` and ``checks`` in order of the text."""

    columns: tuple[ParsedColumn, ...] = ()
    foreign_keys: tuple[ParsedForeignKey, ...] = ()
    checks: tuple[str, ...] = ()
    autoincrement: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class ParsedIndex:
    """The terms of CREATE INDEX without their COLLATE and ASC or DESC, and the predicate."""

    terms: tuple[str, ...] = ()
    where: str | None = None


_TOKEN = re.compile(
    r"""(?P<skip>[ \t\n\f\r]+|--[^\n]*|/\*(?:.*?\*/|.*\Z))
      | (?P<string>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
      | (?P<other>[xX]'[^']*'|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?\w*|\|\||->>|->|<<|>>|<=|>=|<>|!=|==)
      | (?P<word>[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*)
      | (?P<any>.)""",
    re.VERBOSE | re.DOTALL,
)
_SORTS = {"string": Sort.STRING, "quoted": Sort.QUOTED, "word": Sort.WORD}
_TABLE_CONSTRAINTS = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"})


def tokens(sql: str) -> Iterator[Token]:
    """The tokens of a statement, in order."""
    for match in _TOKEN.finditer(sql):
        if match.lastgroup != "skip":
            yield Token(_SORTS.get(match.lastgroup or "", Sort.OTHER), match[0], match.start())


def parse_table(sql: str) -> ParsedTable:
    """Read a CREATE TABLE statement.  What is not there (``CREATE TABLE ... AS``) stays empty."""
    all_tokens = list(tokens(sql))
    opening = next((i for i, token in enumerate(all_tokens) if token.text == "("), None)
    if opening is None:
        return ParsedTable()
    body, _ = _group(all_tokens, opening)
    reader = _TableReader(sql)
    for definition in _split(body):
        if definition[0].keyword in _TABLE_CONSTRAINTS:
            reader.constraints(definition)
        else:
            reader.column(definition)
    return reader.table()


def parse_index(sql: str) -> ParsedIndex:
    """Read a CREATE INDEX statement."""
    all_tokens = list(tokens(sql))
    opening = next((i for i, token in enumerate(all_tokens) if token.text == "("), None)
    if opening is None:
        return ParsedIndex()
    body, after = _group(all_tokens, opening)
    terms = tuple(_text(sql, _without_order(term)) for term in _split(body))
    rest = all_tokens[after:]
    where = _text(sql, rest[1:]) if rest and rest[0].keyword == "WHERE" else None
    return ParsedIndex(terms, where)


class _TableReader:
    """Walks over the definitions of one CREATE TABLE and gathers what they say."""

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._columns: list[ParsedColumn] = []
        self._foreign_keys: list[ParsedForeignKey] = []
        self._checks: list[str] = []
        self._autoincrement = False

    def table(self) -> ParsedTable:
        return ParsedTable(tuple(self._columns), tuple(self._foreign_keys), tuple(self._checks), self._autoincrement)

    def column(self, definition: Sequence[Token]) -> None:
        self._columns.append(ParsedColumn(definition[0].name))
        self.constraints(definition[1:])

    def constraints(self, part: Sequence[Token]) -> None:
        """Go through the clauses of a column definition (after its name) or of table constraints."""
        place = 0
        while place < len(part):
            word = part[place].keyword
            follows = part[place + 1] if place + 1 < len(part) else None
            grouped = follows is not None and follows.text == "("
            if word == "CONSTRAINT":
                place += 2
            elif word == "CHECK" and grouped:
                inner, place = _group(part, place + 1)
                self._checks.append(_text(self._sql, inner))
            elif word == "AS" and grouped:
                inner, place = _group(part, place + 1)
                self._generated(_text(self._sql, inner))
            elif word == "COLLATE" and follows is not None:
                self._collated(follows.name)
                place += 2
            elif word == "KEY" and grouped:
                inner, place = _group(part, place + 1)
                self._autoincrement |= any(token.keyword == "AUTOINCREMENT" for token in inner)
            elif word == "REFERENCES" and follows is not None:
                self._foreign_keys.append(ParsedForeignKey(follows.name))
                place = _after_references(part, place + 2)
            elif word == "DEFERRABLE":
                place = self._deferrable(part, place)
            elif word == "DEFAULT":
                place += 3 if follows is not None and follows.text in ("+", "-") else 1 if grouped else 2
            elif part[place].text == "(":
                _, place = _group(part, place)
            else:
                self._autoincrement |= word == "AUTOINCREMENT"
                place += 1

    def _generated(self, expression: str) -> None:
        self._columns[-1] = dataclasses.replace(self._columns[-1], generation=expression)

    def _collated(self, name: str) -> None:
        self._columns[-1] = dataclasses.replace(self._columns[-1], collation=name)

    def _deferrable(self, part: Sequence[Token], place: int) -> int:
        """``[NOT] DEFERRABLE [INITIALLY DEFERRED|IMMEDIATE]`` speaks of the foreign key declared last."""
        negated = place > 0 and part[place - 1].keyword == "NOT"
        initially = [token.keyword for token in part[place + 1 : place + 3]]
        if self._foreign_keys and not negated:
            self._foreign_keys[-1] = dataclasses.replace(
                self._foreign_keys[-1], deferrable=True, initially_deferred=initially == ["INITIALLY", "DEFERRED"]
            )
        return place + (3 if initially[:1] == ["INITIALLY"] else 1)


def _after_references(part: Sequence[Token], place: int) -> int:
    """Skip what may follow REFERENCES and the parent's name: its columns, ON ... actions and MATCH."""
    if place < len(part) and part[place].text == "(":
        _, place = _group(part, place)
    while place < len(part):
        words = [token.keyword for token in part[place : place + 4]]
        if words[:1] == ["MATCH"]:
            place += 2
        elif words[:1] == ["ON"] and words[1:2] != ["CONFLICT"]:
            place += 4 if words[2:] in (["SET", "NULL"], ["SET", "DEFAULT"], ["NO", "ACTION"]) else 3
        else:
            break
    return place


def _group(part: Sequence[Token], opening: int) -> tuple[Sequence[Token], int]:
    """The tokens between the parenthesis at ``opening`` and its partner, and the place after the partner."""
    depth = 0
    for place in range(opening, len(part)):
        depth += {"(": 1, ")": -1}.get(part[place].text, 0)
        if depth == 0:
            return part[opening + 1 : place], place + 1
    return part[opening + 1 :], len(part)


def _split(part: Sequence[Token]) -> list[Sequence[Token]]:
    """The pieces between the commas that stand outside of parentheses; empty pieces left out."""
    pieces: list[Sequence[Token]] = []
    depth = start = 0
    for place, token in enumerate(part):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            pieces.append(part[start:place])
            start = place + 1
    pieces.append(part[start:])
    return [piece for piece in pieces if piece]


def _without_order(term: Sequence[Token]) -> Sequence[Token]:
    """An index term without its trailing ``COLLATE name`` and ``ASC`` or ``DESC``."""
    if len(term) > 1 and term[-1].keyword in ("ASC", "DESC"):
        term = term[:-1]
    if len(term) > 2 and term[-2].keyword == "COLLATE":
        term = term[:-2]
    return term


def _text(sql: str, part: Sequence[Token]) -> str:
    """The text of tokens as written, but comments and runs of blanks between them become one blank."""
    pieces: list[str] = []
    end: int | None = None
    for token in part:
        if end is not None and token.start > end:
            pieces.append(" ")
        pieces.append(token.text)
        end = token.end
    return "".join(pieces)
