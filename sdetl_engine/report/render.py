"""The document of a run as one HTML file: no external assets, printable, everything escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import humanize
import jinja2

from sdetl_engine.values.encodings import visible
from sdetl_engine.wording import points

_LONGEST = 2000


def render_json(document: Mapping[str, Any]) -> str:
    """The document as strict ASCII JSON."""
    return json.dumps(document, ensure_ascii=True, allow_nan=False, indent=1)


def render_html(document: Mapping[str, Any], checklist: Sequence[Mapping[str, Any]], details: Mapping[str, Any]) -> str:
    """The document for the change ticket.

    ``document`` as ``run_document`` makes it; ``checklist``: lines with ``text``, ``status``, ``evidence``;
    ``details``: what only the report shows (hashes, commands, receipts, panels, differences).
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sdetl_engine.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": _plain,
        "number": lambda value: f"{value:,}",
        "bytes": lambda value: humanize.naturalsize(value, binary=True),
        "share": lambda value: "" if value is None else f"{value:.2%}",
        "score": lambda value: "not assessed" if value is None else points(value),
    }
    return environment.get_template("report.html.j2").render(
        run=document,
        checklist=checklist,
        more=details,
        outcome=document.get("outcome", "under way"),
        printed=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _plain(value: object) -> str:
    text = "; ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return visible(text, _LONGEST)
