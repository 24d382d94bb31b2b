"""SQLite expressions in PostgreSQL's dialect: CHECKs, partial-index predicates, index terms, generated columns.

sqlglot reads the text; a closed set of nodes is then written anew, each with its type, so that no text of the
source is ever executed.  Anything else is :class:`Untranslatable`, with the reason.
SQLite's rules: https://www.sqlite.org/lang_expr.html, https://www.sqlite.org/lang_corefunc.html
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sdetl_engine.postgres.dialect import terms
from sdetl_engine.postgres.dialect.terms import NULL, Term, Untranslatable
from sdetl_engine.postgres.names import quoted
from sdetl_engine.values.types import Kind

V = TypeVar("V")
Writer = Callable[[exp.Expression, "Scope"], Term]
_LONGEST_TEXT = 20_000
_MOST_PLACES = 2**30
_TYPEOF = {Kind.INTEGER: "integer", Kind.TEXT: "text", Kind.BYTES: "blob", Kind.DOUBLE: "real"}


@dataclasses.dataclass(frozen=True, slots=True)
class ScopeColumn:
    """A column that an expression may name: its PostgreSQL name and type, and what SQLite's rules need to know."""

    name: str
    kind: Kind
    collation: str = "BINARY"
    always_real: bool = False
    """SQLite stores every number in it as REAL (REAL affinity)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """The table around an expression; ``columns`` by source name; ``missing``: why other columns cannot be named."""

    table: str
    columns: Mapping[str, ScopeColumn]
    missing: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def column(self, wanted: str, qualifier: str | None, *, is_quoted: bool) -> Term:
        """The column that an expression names.  Raises Untranslatable."""
        if qualifier is not None and qualifier.lower() != self.table.lower():
            raise Untranslatable("it names a column of another table")
        found = look_up(self.columns, wanted)
        if found is not None:
            return Term(quoted(found.name), found.kind, collation=found.collation, always_real=found.always_real)
        reason = look_up(self.missing, wanted)
        if reason is not None:
            raise Untranslatable(f"it names the column {wanted}, which {reason}")
        if is_quoted and qualifier is None:
            # https://www.sqlite.org/quirks.html#dblquote: an unknown name in double quotes is a text.
            return terms.text_term(wanted)
        raise Untranslatable(f"it names {wanted}, which is no column of the table")

    def rule(self, kind: type[exp.Expression]) -> Rule | None:
        """How a node is written here; None when it is not known."""
        return RULES.get(kind)


def translate_condition(text: str, scope: Scope) -> str:
    """A truth value, for CHECK and WHERE.  Raises Untranslatable."""
    try:
        return terms.as_truth(write_node(parse(text), scope))
    except RecursionError:
        raise Untranslatable("it is nested too deeply") from None


def translate_expression(text: str, scope: Scope) -> Term:
    """A value, for index terms and generated columns.  Raises Untranslatable."""
    try:
        return write_node(parse(text), scope)
    except RecursionError:
        raise Untranslatable("it is nested too deeply") from None


def parse(text: str) -> exp.Expression:
    """The tree of one SQLite expression.  Raises Untranslatable for anything else than exactly one."""
    if len(text) > _LONGEST_TEXT:
        raise Untranslatable(f"it is longer than {_LONGEST_TEXT:,} characters")
    try:
        # In parentheses, nothing that follows or is commented out can be taken for a part of it.
        statements = sqlglot.parse(f"SELECT (\n{text}\n)", read="sqlite")
    except (SqlglotError, RecursionError, ValueError):
        raise Untranslatable("it could not be parsed") from None
    select = statements[0] if len(statements) == 1 else None
    if not isinstance(select, exp.Select) or len(select.expressions) != 1:
        raise Untranslatable("it is not a single expression")
    others = [key for key, value in select.args.items() if value and key != "expressions"]
    tree = select.expressions[0]
    if others or not isinstance(tree, exp.Paren) or not isinstance(tree.this, exp.Expression):
        raise Untranslatable("it is not a single expression")
    return tree.this


def write_node(node: exp.Expression, scope: Scope) -> Term:
    """The node written anew.  Raises Untranslatable for every node and every form that is not known."""
    rule = scope.rule(type(node))
    if rule is None:
        raise Untranslatable(f"it uses {spoken(node)}")
    # An argument that is not looked at (``negate``, ``position``) would change the meaning unseen.
    if any(value and key not in rule.arguments for key, value in node.args.items()):
        raise Untranslatable(f"it uses a form of {spoken(node)} that is not known")
    return rule.write(node, scope)


def spoken(node: exp.Expression) -> str:
    """What an operator would call the node; never a piece of the text but the name of a function."""
    if isinstance(node, exp.Anonymous) and isinstance(node.this, str) and re.fullmatch(r"\w{1,63}", node.this):
        return f"the function {node.this.lower()}()"
    if isinstance(node, exp.Func):
        return f"the function {node.sql_name().lower()}()"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).lower()


def _column(node: exp.Expression, scope: Scope) -> Term:
    identifier, qualifier = node.this, node.args.get("table")
    if not isinstance(identifier, exp.Identifier) or node.args.get("db"):
        raise Untranslatable("it names a column of another table")
    of = qualifier.name if qualifier is not None else None
    return scope.column(identifier.name, of, is_quoted=bool(identifier.args.get("quoted")))


def look_up(named: Mapping[str, V], wanted: str) -> V | None:
    """What is called so: exactly, or else but for case, as SQLite finds names."""
    if wanted in named:
        return named[wanted]
    return next((value for name, value in named.items() if name.lower() == wanted.lower()), None)


def _literal(node: exp.Expression, scope: Scope) -> Term:
    return terms.text_term(node.name) if node.args.get("is_string") else terms.number_term(node.name)


def _blob(node: exp.Expression, scope: Scope) -> Term:
    digits = node.name
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2})*", digits):
        raise Untranslatable("it holds a blob that could not be read")
    return Term(f"'\\x{digits}'::bytea", Kind.BYTES)


def _null(node: exp.Expression, scope: Scope) -> Term:
    return NULL


def _boolean(node: exp.Expression, scope: Scope) -> Term:
    return Term("true" if node.this else "false", Kind.BOOLEAN)


def _parenthesis(node: exp.Expression, scope: Scope) -> Term:
    return write_node(node.this, scope)


def _collate(node: exp.Expression, scope: Scope) -> Term:
    collation = node.expression.name.upper()
    return dataclasses.replace(write_node(node.this, scope), collation=collation, collation_explicit=True)


def _negative(node: exp.Expression, scope: Scope) -> Term:
    operand = node.this
    if isinstance(operand, exp.Literal) and not operand.is_string:
        return terms.number_term(f"-{operand.name}")
    term = terms.as_number(write_node(operand, scope))
    return Term(f"(- {term.sql})", term.kind, always_real=term.always_real)


def _not(node: exp.Expression, scope: Scope) -> Term:
    return Term(f"(NOT {terms.as_truth(write_node(node.this, scope))})", Kind.BOOLEAN)


def _connective(word: str) -> Writer:
    def write(node: exp.Expression, scope: Scope) -> Term:
        left, right = (terms.as_truth(write_node(side, scope)) for side in (node.this, node.expression))
        return Term(f"({left} {word} {right})", Kind.BOOLEAN)

    return write


def _comparison(operator: str) -> Writer:
    def write(node: exp.Expression, scope: Scope) -> Term:
        if isinstance(node.this, _COMPARISONS) or isinstance(node.expression, _COMPARISONS):
            raise Untranslatable("it compares the result of a comparison without parentheses")
        return terms.compare(operator, write_node(node.this, scope), write_node(node.expression, scope))

    return write


def _is(node: exp.Expression, scope: Scope) -> Term:
    term = write_node(node.this, scope)
    if isinstance(node.expression, exp.Null):
        return Term(f"({term.sql} IS NULL)", Kind.BOOLEAN)
    if isinstance(node.expression, exp.Boolean):
        return Term(f"({terms.as_truth(term)} IS {'TRUE' if node.expression.this else 'FALSE'})", Kind.BOOLEAN)
    return terms.compare("IS NOT DISTINCT FROM", term, write_node(node.expression, scope))


def _in(node: exp.Expression, scope: Scope) -> Term:
    return terms.is_in(write_node(node.this, scope), [write_node(member, scope) for member in node.expressions])


def _between(node: exp.Expression, scope: Scope) -> Term:
    term = write_node(node.this, scope)
    low = terms.compare(">=", term, write_node(node.args["low"], scope))
    high = terms.compare("<=", term, write_node(node.args["high"], scope))
    return Term(f"({low.sql} AND {high.sql})", Kind.BOOLEAN)


def _arithmetic(operator: str) -> Writer:
    def write(node: exp.Expression, scope: Scope) -> Term:
        return terms.arithmetic(operator, write_node(node.this, scope), write_node(node.expression, scope))

    return write


def _bits(operator: str) -> Writer:
    def write(node: exp.Expression, scope: Scope) -> Term:
        left, right = write_node(node.this, scope), write_node(node.expression, scope)
        if left.kind is not Kind.INTEGER or right.kind is not Kind.INTEGER:
            raise Untranslatable("it combines the bits of something that is no integer")
        return Term(f"({left.sql} {operator} {right.sql})", Kind.INTEGER)

    return write


def _concatenation(node: exp.Expression, scope: Scope) -> Term:
    left, right = (_text(side, scope, "||") for side in (node.this, node.expression))
    return Term(f"({left.sql} || {right.sql})", Kind.TEXT)


def _text(node: exp.Expression, scope: Scope, what: str) -> Term:
    """A text, or a number that both write alike; other types would have to become text as SQLite writes them."""
    return terms.as_text(write_node(node, scope), what)


def _like(node: exp.Expression, scope: Scope, escape: str = "") -> Term:
    text, pattern = _text(node.this, scope, "LIKE"), _text(node.expression, scope, "LIKE")
    # LIKE folds A-Z in SQLite and has no escape character unless one is named.
    word = "NOT LIKE" if node.args.get("negate") else "LIKE"
    escaped = terms.text_literal(escape)
    return Term(
        f"({terms.lower_ascii(text.sql)} {word} {terms.lower_ascii(pattern.sql)} ESCAPE {escaped})", Kind.BOOLEAN
    )


def _escaped_like(node: exp.Expression, scope: Scope) -> Term:
    like, escape = node.this, node.expression
    if (
        not isinstance(like, exp.Like)
        or not isinstance(escape, exp.Literal)
        or not re.fullmatch(r"[^\w\s]", escape.name)
    ):
        raise Untranslatable("it uses an unusual ESCAPE")
    return _like(like, scope, escape.name)


def _glob(node: exp.Expression, scope: Scope) -> Term:
    text = _text(node.this, scope, "GLOB")
    if not isinstance(node.expression, exp.Literal) or not node.expression.is_string:
        raise Untranslatable("it uses GLOB with a pattern that is no constant")
    pattern = terms.text_literal(_as_regular_expression(node.expression.name))
    return Term(f'({text.sql} COLLATE "C" ~ {pattern})', Kind.BOOLEAN)


_GLOB_PIECE = re.compile(r"\*|\?|\[(\^?)(\]?[^\]\[\\]*)\]|([^\[])", re.DOTALL)


def _as_regular_expression(glob: str) -> str:
    """https://www.sqlite.org/lang_expr.html#glob: ``*``, ``?`` and ``[...]`` as in a Unix shell."""
    pieces, end = [], 0
    for match in _GLOB_PIECE.finditer(glob):
        if match.start() != end:
            break
        end = match.end()
        if match[0] in "*?":
            pieces.append(".*" if match[0] == "*" else ".")
        elif match[3] is not None:
            pieces.append(
                match[3] if match[3].isalnum() else f"[{match[3]}]" if match[3] not in "^\\" else f"\\{match[3]}"
            )
        else:
            pieces.append(f"[{match[1]}{match[2]}]")
    if end != len(glob):
        raise Untranslatable("it uses an unusual GLOB pattern")
    return "^" + "".join(pieces) + "$"


def _regular_character(character: str) -> str:
    if character.isalnum():
        return character
    return f"\\{character}" if character in "^\\" else f"[{character}]"


def _length(node: exp.Expression, scope: Scope) -> Term:
    term = write_node(node.this, scope)
    if term.kind is not Kind.BYTES:
        term = terms.as_text(term, "length()")
    return Term(f"length({term.sql})", Kind.INTEGER)


def _cased(function: str) -> Writer:
    def write(node: exp.Expression, scope: Scope) -> Term:
        text = _text(node.this, scope, f"{function}()")
        return Term(f'{function}({text.sql} COLLATE "C")', Kind.TEXT)

    return write


def _trim(node: exp.Expression, scope: Scope) -> Term:
    function = {None: "btrim", "LEADING": "ltrim", "TRAILING": "rtrim"}[node.args.get("position")]
    characters = _text(node.expression, scope, "trim()").sql if node.args.get("expression") else "' '"
    return Term(f"{function}({_text(node.this, scope, 'trim()').sql}, {characters})", Kind.TEXT)


def _abs(node: exp.Expression, scope: Scope) -> Term:
    term = terms.as_number(write_node(node.this, scope))
    return Term(f"abs({term.sql})", term.kind, always_real=term.always_real)


def _coalesce(node: exp.Expression, scope: Scope) -> Term:
    values, kind = terms.common([write_node(n, scope) for n in (node.this, *node.expressions)])
    return Term(f"COALESCE({', '.join(values)})", kind)


def _nullif(node: exp.Expression, scope: Scope) -> Term:
    value = write_node(node.this, scope)
    equal = terms.compare("=", value, write_node(node.expression, scope))
    return Term(f"(CASE WHEN {equal.sql} THEN NULL ELSE {value.sql} END)", value.kind, always_real=value.always_real)


def _if(node: exp.Expression, scope: Scope) -> Term:
    branches = [write_node(node.args["true"], scope)]
    branches.append(write_node(node.args["false"], scope) if node.args.get("false") is not None else NULL)
    (then, otherwise), kind = terms.common(branches)
    condition = terms.as_truth(write_node(node.this, scope))
    return Term(f"(CASE WHEN {condition} THEN {then} ELSE {otherwise} END)", kind)


def _case(node: exp.Expression, scope: Scope) -> Term:
    subject = write_node(node.this, scope) if node.this is not None else None
    conditions = []
    for branch in node.args["ifs"]:
        when = write_node(branch.this, scope)
        conditions.append(terms.as_truth(when) if subject is None else terms.compare("=", subject, when).sql)
    default = node.args.get("default")
    branches = [write_node(b.args["true"], scope) for b in node.args["ifs"]]
    values, kind = terms.common([*branches, write_node(default, scope) if default is not None else NULL])
    whens = " ".join(f"WHEN {c} THEN {v}" for c, v in zip(conditions, values[:-1], strict=True))
    return Term(f"(CASE {whens} ELSE {values[-1]} END)", kind)


def _substring(node: exp.Expression, scope: Scope) -> Term:
    text = _text(node.this, scope, "substr()")
    start = write_node(node.args["start"], scope)
    length = write_node(node.args["length"], scope) if node.args.get("length") is not None else None
    if start.kind is not Kind.INTEGER or (length is not None and length.kind is not Kind.INTEGER):
        raise Untranslatable("it uses substr() with places that are no integers")
    place = _place(text, start)
    if length is None:
        return Term(f"substr({text.sql}, {place})", Kind.TEXT)
    if isinstance(length.constant, int) and 0 <= length.constant < _MOST_PLACES:
        return Term(f"substr({text.sql}, {place}, {length.constant})", Kind.TEXT)
    # A negative length counts the characters before the place; PostgreSQL refuses it.
    before = f"GREATEST({place} + ({length.sql}), 1)"
    return Term(
        f"(CASE WHEN ({length.sql}) >= 0 THEN substr({text.sql}, {place}, ({length.sql})::int)"
        f" ELSE substr({text.sql}, ({before})::int, (GREATEST({place}, 1) - {before})::int) END)",
        Kind.TEXT,
    )


def _place(text: Term, start: Term) -> str:
    """Where substr() begins: a negative place counts from the end."""
    if isinstance(start.constant, int) and abs(start.constant) < _MOST_PLACES:
        return str(start.constant) if start.constant >= 0 else f"(length({text.sql}) + {start.constant + 1})"
    return f"(CASE WHEN ({start.sql}) < 0 THEN length({text.sql}) + ({start.sql}) + 1 ELSE ({start.sql}) END)::int"


def _position(node: exp.Expression, scope: Scope) -> Term:
    text, wanted = _text(node.this, scope, "instr()"), _text(node.args["substr"], scope, "instr()")
    return Term(f"strpos({text.sql}, {wanted.sql})", Kind.INTEGER)


def _replace(node: exp.Expression, scope: Scope) -> Term:
    parts = (node.this, node.expression, node.args["replacement"])
    return Term(f"replace({', '.join(_text(p, scope, 'replace()').sql for p in parts)})", Kind.TEXT)


def _typeof(node: exp.Expression, scope: Scope) -> Term:
    """The PostgreSQL column has one type, so only NULL is left to be asked."""
    term = write_node(node.this, scope)
    name = _TYPEOF.get(term.kind) if term.kind is not None else None
    if name is None or (term.kind is Kind.DOUBLE and not term.always_real):
        raise Untranslatable(f"it uses typeof() on {term.kind or 'NULL'}")
    return Term(f"(CASE WHEN {term.sql} IS NULL THEN 'null' ELSE '{name}' END)", Kind.TEXT)


def _cast(node: exp.Expression, scope: Scope) -> Term:
    term, to = write_node(node.this, scope), node.args["to"].this
    if to in _INTEGER_TYPES and term.kind is Kind.INTEGER:
        return term
    if to in _REAL_TYPES and term.kind in (Kind.INTEGER, Kind.DOUBLE):
        return Term(f"({term.sql})::double precision", Kind.DOUBLE, always_real=True)
    if to is exp.DataType.Type.TEXT and term.kind in (Kind.TEXT, Kind.INTEGER):
        return terms.as_text(term, "CAST")
    raise Untranslatable(f"it casts {term.kind or 'NULL'}")


def _function(node: exp.Expression, scope: Scope) -> Term:
    """Functions that sqlglot has no node for."""
    if node.this.lower() == "json_valid" and len(node.expressions) == 1:
        return _json_valid(write_node(node.expressions[0], scope))
    raise Untranslatable(f"it uses {spoken(node)}")


def _json_valid(term: Term) -> Term:
    """True of every value that a JSON column holds; a text is asked by PostgreSQL 16 and newer."""
    if term.kind in (Kind.JSON, Kind.JSONB):
        return Term(f"(CASE WHEN {term.sql} IS NOT NULL THEN true END)", Kind.BOOLEAN)
    if term.kind is Kind.TEXT:
        return Term(f"({term.sql} IS JSON)", Kind.BOOLEAN)
    raise Untranslatable(f"it uses json_valid() on {term.kind or 'NULL'}")


def _date(node: exp.Expression, scope: Scope) -> Term:
    term = write_node(node.this, scope)
    if term.kind not in (Kind.DATE, Kind.TIMESTAMP):
        raise Untranslatable(f"it uses date() on {term.kind or 'NULL'}")
    return Term(f"({term.sql})::date", Kind.DATE)


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """How a node is written, and the arguments that its writer looks at."""

    write: Writer
    arguments: frozenset[str]


def rule(write: Writer, *arguments: str) -> Rule:
    """A rule; ``arguments`` default to the two operands of an operator."""
    return Rule(write, frozenset(arguments or ("this", "expression")))


_COMPARISONS = (
    exp.EQ,
    exp.NEQ,
    exp.GT,
    exp.GTE,
    exp.LT,
    exp.LTE,
    exp.Is,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
    exp.In,
    exp.Like,
)
_INTEGER_TYPES = frozenset({exp.DataType.Type.INT, exp.DataType.Type.BIGINT})
_REAL_TYPES = frozenset({exp.DataType.Type.FLOAT, exp.DataType.Type.DOUBLE})
RULES: Mapping[type[exp.Expression], Rule] = {
    exp.Column: rule(_column, "this", "table"),
    exp.Literal: rule(_literal, "this", "is_string"),
    exp.HexString: rule(_blob, "this"),
    exp.Null: rule(_null),
    exp.Boolean: rule(_boolean, "this"),
    exp.Paren: rule(_parenthesis, "this"),
    exp.Collate: rule(_collate),
    exp.Neg: rule(_negative, "this"),
    exp.Not: rule(_not, "this"),
    exp.And: rule(_connective("AND")),
    exp.Or: rule(_connective("OR")),
    exp.EQ: rule(_comparison("=")),
    exp.NEQ: rule(_comparison("<>")),
    exp.GT: rule(_comparison(">")),
    exp.GTE: rule(_comparison(">=")),
    exp.LT: rule(_comparison("<")),
    exp.LTE: rule(_comparison("<=")),
    exp.NullSafeEQ: rule(_comparison("IS NOT DISTINCT FROM")),
    exp.NullSafeNEQ: rule(_comparison("IS DISTINCT FROM")),
    exp.Is: rule(_is),
    exp.In: rule(_in, "this", "expressions"),
    exp.Between: rule(_between, "this", "low", "high"),
    exp.Add: rule(_arithmetic("+")),
    exp.Sub: rule(_arithmetic("-")),
    exp.Mul: rule(_arithmetic("*")),
    exp.Div: rule(_arithmetic("/"), "this", "expression", "typed", "safe"),
    exp.Mod: rule(_arithmetic("%")),
    exp.BitwiseAnd: rule(_bits("&")),
    exp.BitwiseOr: rule(_bits("|")),
    exp.DPipe: rule(_concatenation, "this", "expression", "safe"),
    exp.Like: rule(_like, "this", "expression", "negate"),
    exp.Escape: rule(_escaped_like),
    exp.Glob: rule(_glob),
    exp.Length: rule(_length, "this"),
    exp.Lower: rule(_cased("lower"), "this"),
    exp.Upper: rule(_cased("upper"), "this"),
    exp.Trim: rule(_trim, "this", "expression", "position"),
    exp.Abs: rule(_abs, "this"),
    exp.Coalesce: rule(_coalesce, "this", "expressions"),
    exp.Nullif: rule(_nullif),
    exp.If: rule(_if, "this", "true", "false"),
    exp.Case: rule(_case, "this", "ifs", "default"),
    exp.Substring: rule(_substring, "this", "start", "length"),
    exp.StrPosition: rule(_position, "this", "substr"),
    exp.Replace: rule(_replace, "this", "expression", "replacement"),
    exp.Typeof: rule(_typeof, "this"),
    exp.Cast: rule(_cast, "this", "to"),
    exp.Date: rule(_date, "this"),
    exp.Anonymous: rule(_function, "this", "expressions"),
}
