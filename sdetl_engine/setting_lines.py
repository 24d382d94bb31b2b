"""Every setting with its value, where that came from, and what it means: for whoever wants to know what a run goes by."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sdetl_engine import settings as catalogue
from sdetl_engine.settings import Settings, load_settings, origins_of, setting_keys

DEFAULT = "default"


@dataclasses.dataclass(frozen=True, slots=True)
class SettingLine:
    """One setting.  ``value`` and ``default`` as JSON has them; ``origin`` is ``default``, or what said otherwise."""

    key: str
    value: Any
    default: Any
    origin: str
    meaning: str


def explained_settings(
    *,
    plan: Path | None = None,
    environ: Mapping[str, str] | None = None,
    assignments: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
) -> tuple[SettingLine, ...]:
    """All settings in order, as these layers make them.  Raises UsageError as ``load_settings`` does."""
    chosen = load_settings(plan=plan, environ=environ, assignments=assignments, extra=extra)
    origins = origins_of(plan=plan, environ=environ, assignments=assignments, extra=extra)
    values, defaults = (s.model_dump(mode="json", by_alias=True) for s in (chosen, Settings()))
    meanings = dict(_meanings(Settings))
    return tuple(
        SettingLine(key, _at(values, key), _at(defaults, key), origins.get(key, DEFAULT), meanings.get(key, ""))
        for key in setting_keys()
    )


def _at(tree: Any, key: str) -> Any:
    for name in key.split("."):
        tree = tree[name]
    return tree


def _meanings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """What stands under each field in the file of settings, by dotted key."""
    written = _docstrings()
    for name, field in model.model_fields.items():
        key, kind = prefix + (field.alias or name), field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _meanings(kind, key + ".")
        else:
            yield key, written.get((model.__name__, name), "")


def _docstrings() -> dict[tuple[str, str], str]:
    """By class and field.  Python keeps no docstrings of fields: they are read from the file itself."""
    found = {}
    for part in ast.parse(Path(catalogue.__file__).read_text(encoding="utf-8")).body:
        if not isinstance(part, ast.ClassDef):
            continue
        for field, text in zip(part.body, part.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                found[part.name, field.target.id] = " ".join(str(text.value.value).replace("``", "").split())
    return found
