"""Which rules clean which column: what the verdicts, the declared marks and the plan's list come to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from sdetl_engine.profiling.facts import TypeVerdict
from sdetl_engine.records import ProfileResult
from sdetl_engine.settings import Settings
from sdetl_engine.sqlite.rewriting import ColumnRules
from sdetl_engine.values.agreement import NOTHING_AGREED
from sdetl_engine.values.missing import markers_for, matches
from sdetl_engine.values.types import DATE_KINDS, Kind, TargetType


def cleaning_rules(profile: ProfileResult, settings: Settings) -> Mapping[tuple[str, str], ColumnRules]:
    """What may be done to each column: from its chosen type, the declared marks and the plan's list.

    Where the profile, which read every value, met no empty text, none is looked for.
    """
    empties = {(facts.table, column.column): column.empties for facts in profile.tables for column in facts.columns}
    rules = {}
    for verdict in profile.verdicts:
        rule = _rules_of(verdict, settings)
        if not empties[verdict.table, verdict.column] and "" not in rule.marks:
            rule = dataclasses.replace(rule, empty_to_null=False)
        if not verdict.left_out and rule.is_active:
            rules[verdict.table, verdict.column] = rule
    return rules


def _rules_of(verdict: TypeVerdict, settings: Settings) -> ColumnRules:
    kind = TargetType.parse(verdict.chosen).kind
    to_iso = kind in DATE_KINDS
    listed = matches(settings.clean.empty_to_null, verdict.table, verdict.column)
    return ColumnRules(
        to_iso=to_iso,
        day_first=verdict.day_first,
        marks=markers_for(settings.clean.null_markers, verdict.table, verdict.column),
        agreement=verdict.agreement if to_iso else NOTHING_AGREED,
        decode=markers_for(settings.clean.decode, verdict.table, verdict.column) if kind is not Kind.BYTES else (),
        empty_to_null=listed or kind not in (Kind.TEXT, Kind.BYTES, Kind.JSON, Kind.JSONB),
    )
