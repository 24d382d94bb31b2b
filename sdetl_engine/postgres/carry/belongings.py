"""Everything that belongs to a schema and stays behind when it is renamed: read as one value, given, compared.

Owners, grants on schema, tables, columns and sequences, default privileges, comments, row-level security,
publications.  The schema's own comment is sdetl's mark of ownership and stays where it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import psycopg

from sdetl_engine.postgres.carry import comments, grants, policies, publications
from sdetl_engine.postgres.carry.changes import Changes, Target
from sdetl_engine.postgres.carry.grants import Right

Value = TypeVar("Value")
_OWNS = {"TABLE": "TABLES", "SEQUENCE": "SEQUENCES"}


@dataclasses.dataclass(frozen=True, slots=True)
class Belongings:
    """What belongs to one schema, as it is.  ``objects``: (name, column) of all that is in it."""

    schema: str
    relations: tuple[int, ...]
    """Their oids, which stay when the schema is renamed."""
    objects: frozenset[tuple[str, str]]
    owners: grants.Owners
    rights: grants.Rights
    defaults: grants.DefaultRights
    comments: comments.Comments
    security: policies.Securities
    published: frozenset[publications.Published]
    identities: publications.Identities

    @classmethod
    def read(cls, connection: psycopg.Connection[Any], schema: str) -> Belongings:
        """Read a schema.  Names in expressions are qualified only under an empty search_path."""
        rows = connection.execute(
            """
            SELECT c.oid, c.relkind::text, c.relname, '' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = %(schema)s
            UNION ALL
            SELECT NULL, NULL, c.relname, t.attname FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = %(schema)s AND t.attnum > 0 AND NOT t.attisdropped
            """,
            {"schema": schema},
        ).fetchall()
        relations = [oid for oid, kind, _, _ in rows if kind in tuple("rpvmSf")]
        return cls(
            schema=schema,
            relations=tuple(relations),
            objects=frozenset((name, column) for _, _, name, column in rows),
            owners=grants.read_owners(connection, schema, relations),
            rights=grants.read_rights(connection, schemas=[schema], relations=relations),
            defaults=grants.read_defaults(connection, schema),
            comments=comments.read_comments(connection, relations),
            security=policies.read_security(connection, relations),
            published=publications.read_published(connection, schema),
            identities=publications.read_identities(connection, relations),
        )

    def for_objects_of(self, other: Belongings) -> Belongings:
        """What of it concerns objects that ``other`` has, too."""
        there = other.objects | {("", "")}
        return dataclasses.replace(
            self,
            objects=self.objects & other.objects,
            owners=_on(self.owners, there),
            rights=_on(self.rights, there),
            comments=_on(self.comments, there),
            security=_on(self.security, there),
            published=frozenset(p for p in self.published if (p.table, "") in there),
            identities=_on(self.identities, there),
        )

    def lost_in(self, other: Belongings) -> tuple[str, ...]:
        """The objects that somebody was granted something on, or that were published, and ``other`` does not have."""
        granted = [t for t, rights in self.rights.items() if any(r.grantee != self.owners.get(t) for r in rights)]
        named = {(t.name, t.column) for t in granted} | {(p.table, "") for p in self.published}
        return tuple(".".join(filter(None, one)) for one in sorted(named - other.objects - {("", "")}))

    def is_still(self, connection: psycopg.Connection[Any], schema: str) -> bool:
        """True when the schema, which bears the name ``schema`` by now, has the owners and grants that it had."""
        rights = grants.read_rights(connection, schemas=[schema], relations=self.relations)
        owners = grants.read_owners(connection, schema, self.relations)
        return _renamed(self.rights, schema) == dict(rights) and _renamed(self.owners, schema) == dict(owners)

    def lacking_in(self, other: Belongings) -> tuple[str, ...]:
        """What ``other`` does not have of this, one phrase each; it may have more.  Both are of one schema name.

        What is still published of this one was not taken over.
        """
        wanted, shared = self.for_objects_of(other), other.for_objects_of(self)
        found = _without("on", wanted.rights, other.rights) + _without("by the", self.defaults, other.defaults)
        found += _unlike("{} has another owner", wanted.owners, shared.owners)
        found += _unlike("the comment on {} is another", wanted.comments, shared.comments)
        found += _unlike("row-level security of {} is another", wanted.security, shared.security)
        found += _unlike("the replica identity of {} is another", wanted.identities, shared.identities)
        return (*found, *(f"{entry} is that of the version before" for entry in sorted(wanted.published, key=str)))

    def differences(self, other: Belongings) -> tuple[str, ...]:
        """Where ``other`` is not just like this, one phrase each; what only ``other`` has may be as it is."""
        shared = other.for_objects_of(self)
        found = [
            *_unlike("the owner of {}", self.owners, other.owners),
            *_unlike("the grants on {}", self.rights, other.rights),
            *_unlike("{}", self.defaults, other.defaults, both=True),
            *_unlike("the comment on {}", self.comments, shared.comments, both=True),
            *_unlike("row-level security of {}", self.security, other.security),
            *_unlike("the replica identity of {}", self.identities, other.identities),
            *(str(entry) for entry in sorted(self.published ^ shared.published, key=str)),
        ]
        return tuple(found)


def give(changes: Changes, wanted: Belongings, *, to_new: bool) -> Belongings:
    """Give the schema of that name what ``wanted`` says; returns what it then ought to have.

    What concerns objects that are not there is left aside.  ``to_new``: a version that has never been live; its
    further tables get what the default privileges say, as if they had been created in the schema.
    """
    connection = changes.connection
    actual = Belongings.read(connection, wanted.schema)
    wanted = wanted.for_objects_of(actual)
    grants.write_owners(changes, wanted.owners, actual.owners)
    actual = Belongings.read(connection, wanted.schema)
    none = {t: frozenset[Right]() for t in actual.rights if (t.name, t.column) in wanted.objects}
    further = _by_default(wanted, actual) if to_new else {}
    wanted = dataclasses.replace(wanted, rights={**none, **further, **wanted.rights})
    if grants.write_rights(changes, wanted.rights, actual.rights):
        again = Belongings.read(connection, wanted.schema)
        grants.write_rights(changes, wanted.rights, again.rights)
    grants.write_defaults(changes, wanted.defaults, actual.defaults)
    comments.write_comments(changes, wanted.comments, actual.for_objects_of(wanted).comments)
    policies.write_security(changes, wanted.security, actual.security)
    publications.write_identities(changes, wanted.identities, actual.identities)
    publications.publish(changes, wanted.published, actual.published)
    return wanted


def _by_default(wanted: Belongings, actual: Belongings) -> grants.Rights:
    """What the default privileges give on tables and sequences that only ``actual`` has."""
    rights: dict[Target, frozenset[Right]] = {}
    for target, here in actual.rights.items():
        if target.column or target.kind not in _OWNS or (target.name, "") in wanted.objects:
            continue
        owner = actual.owners.get(target)
        given = [
            granted for of, granted in wanted.defaults.items() if (of.role, of.kind) == (owner, _OWNS[target.kind])
        ]
        rights[target] = here.union(*given)
    return rights


def _on(facts: Mapping[Target, Value], there: frozenset[tuple[str, str]]) -> dict[Target, Value]:
    return {target: value for target, value in facts.items() if (target.name, target.column) in there}


def _renamed(facts: Mapping[Target, Value], schema: str) -> dict[Target, Value]:
    return {dataclasses.replace(target, schema=schema): value for target, value in facts.items()}


def _without(link: str, wanted: Mapping[Any, frozenset[Right]], actual: Mapping[Any, frozenset[Right]]) -> list[str]:
    return [
        f"role {right.grantee or 'PUBLIC'} lacks {right.privilege} {link} {target}"
        for target, held in wanted.items()
        for right in sorted(held - actual.get(target, frozenset()), key=str)
    ]


def _unlike(form: str, wanted: Mapping[Any, object], actual: Mapping[Any, object], *, both: bool = False) -> list[str]:
    keys = {*wanted, *actual} if both else set(wanted)
    return [form.format(key) for key in sorted(keys, key=str) if (wanted.get(key) or None) != (actual.get(key) or None)]
