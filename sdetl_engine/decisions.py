"""What decisions do: each one is a change of settings, so that a plan with decisions and a plan with the
settings they stand for come to the same run.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sdetl_engine.checklist import Stage
from sdetl_engine.errors import UsageError
from sdetl_engine.findings import Choice, Decision
from sdetl_engine.settings import CLEAN_ARGUMENTS, Settings
from sdetl_engine.values.types import Kind, TargetType

_AT_LOAD = frozenset({Choice.ADD_INDEX, Choice.PARTITION})
_NOWHERE = frozenset({Choice.ACCEPT, Choice.QUARANTINE})


def takes_effect_in(choice: Choice) -> Stage | None:
    """The first stage that comes out differently because of such a decision; None when it only agrees."""
    if choice in _NOWHERE:
        return None
    return Stage.MIGRATE if choice in _AT_LOAD else Stage.PROFILE


_ARGUMENTS: Mapping[Choice, Callable[[str], object]] = {
    Choice.SET_TYPE: TargetType.parse,
    Choice.READ_NUMBERS: CLEAN_ARGUMENTS["numbers_as_dates"],
    Choice.READ_YEARS: CLEAN_ARGUMENTS["two_digit_years"],
    Choice.NAME_ZONE: CLEAN_ARGUMENTS["time_zones"],
    Choice.DECODE: CLEAN_ARGUMENTS["decode"],
}


def argument_fault(choice: Choice, argument: str) -> str | None:
    """Why the argument is none for that choice, in plain words; None when it is one."""
    try:
        _ARGUMENTS.get(choice, str)(argument)
    except ValueError as error:
        return str(error)
    return None


def check(decision: Decision) -> None:
    """Raises UsageError when the decision's argument is none for its choice."""
    if decision.choice in _ARGUMENTS:
        fault = argument_fault(decision.choice, decision.argument or "")
        if fault is not None:
            raise UsageError(f"the decision about {decision.rule}: {fault}", next_step="correct its argument")


def effective(settings: Settings, decisions: Iterable[Decision]) -> Settings:
    """The settings with every decision carried out on top.  Raises UsageError for a decision that cannot be."""
    for decision in decisions:
        check(decision)
        settings = _apply(settings, decision)
    return settings


def _apply(settings: Settings, decision: Decision) -> Settings:
    column = f"{decision.table}.{decision.column}"
    match decision.choice:
        case Choice.MARK_MISSING:
            return _append(settings, "clean", "null_markers", f"{column}={decision.argument}")
        case Choice.DAY_FIRST:
            return _append(settings, "clean", "day_first", column)
        case Choice.MONTH_FIRST:
            return _append(settings, "clean", "month_first", column)
        case Choice.READ_NUMBERS:
            return _append(settings, "clean", "numbers_as_dates", f"{column}={decision.argument}")
        case Choice.READ_YEARS:
            return _append(settings, "clean", "two_digit_years", f"{column}={decision.argument}")
        case Choice.NAME_ZONE:
            return _append(settings, "clean", "time_zones", f"{column}={decision.argument}")
        case Choice.ROLL_OVER:
            return _append(settings, "clean", "roll_over", column)
        case Choice.DECODE:
            return _append(settings, "clean", "decode", f"{column}={decision.argument}")
        case Choice.KEEP_BYTES:
            return _entry(settings, "types", column, Kind.BYTES.value)
        case Choice.LOAD_AS_TEXT:
            return _entry(settings, "types", column, "text")
        case Choice.SET_TYPE:
            return _entry(settings, "types", column, str(decision.argument))
        case Choice.PARTITION:
            return _entry(settings, "partition", decision.table or "", decision.argument or "")
        case Choice.LEAVE_OUT:
            if decision.column is None:
                return _append(settings, "source", "exclude_tables", decision.table or "")
            return _append(settings, "source", "exclude_columns", column)
        case Choice.ADD_INDEX:
            return _append(settings, "load", "indexes", decision.argument or "")
        case Choice.ACCEPT | Choice.QUARANTINE:
            return settings


def _append(settings: Settings, group: str, key: str, value: str) -> Settings:
    old: Sequence[str] = getattr(getattr(settings, group), key)
    return settings if value in old else _replace(settings, group, key, (*old, value))


def _entry(settings: Settings, key: str, name: str, value: str) -> Settings:
    return _replace(settings, "load", key, {**getattr(settings.load, key), name: value})


def _replace(settings: Settings, group: str, key: str, value: Any) -> Settings:
    changed = getattr(settings, group).model_copy(update={key: value})
    return settings.model_copy(update={group: changed})
