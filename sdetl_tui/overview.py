"""``sdetl --help``: what a newcomer has to know first.  Two ways in, the wizard's options, the commands by purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

_PURPOSES = (
    ("Commands that go through the checklist without screens", ("run", "demo")),
    ("Commands for one stage", ("preflight", "backup", "profile", "clean", "score")),
    (
        "Commands for afterwards",
        ("status", "versions", "diff", "rollback", "drill", "restore", "backup-verify", "prune", "report"),
    ),
    ("Commands that explain", ("rules", "settings")),
)
_SPELLED = {"backup-verify": "backup verify"}
_EXAMPLES = (
    ("sdetl demo", "look at everything with made-up data; nothing of yours is touched"),
    ("sdetl tickets.db --target embedded", "the wizard on a file of yours, into a PostgreSQL of sdetl's own"),
    ("sdetl run tickets.db --target postgresql://etl@db/desk --yes", "the whole checklist for a scheduler"),
    ("sdetl rollback --target postgresql://etl@db/desk", "back to the version before"),
)


class Overview(TyperGroup):
    """The group of all commands; without one it is the wizard, whose options are therefore shown as sdetl's own."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """The two ways in."""
        formatter.write_usage("sdetl", "[SOURCE] [OPTIONS]")
        formatter.write_usage("sdetl", "COMMAND [OPTIONS]", prefix="       ")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments and options of the wizard, those of sdetl itself, the commands, examples."""
        with formatter.section("Arguments"):
            formatter.write_dl(
                [("SOURCE", "The SQLite file, filled in on the wizard's first screen.  It is only read.")]
            )
        with formatter.section("Options of the wizard"):
            formatter.write_dl(list(self._records("wizard")))
        with formatter.section("Options"):
            own = [record for p in self.get_params(ctx) if (record := p.get_help_record(ctx)) is not None]
            formatter.write_dl(own)
        for purpose, names in _PURPOSES:
            with formatter.section(purpose):
                formatter.write_dl(
                    [(_SPELLED.get(n, n), self.commands[n].get_short_help_str(limit=150)) for n in names]
                )
        with formatter.section("Examples"):
            formatter.write_dl(_EXAMPLES, col_max=34)
        formatter.write_paragraph()
        formatter.write_text("sdetl COMMAND --help says what a command takes; sdetl rules CODE explains a finding.")

    def _records(self, command: str) -> Iterator[tuple[str, str]]:
        found = self.commands[command]
        context = typer.Context(found)
        for param in found.get_params(context):
            if param.param_type_name == "option" and "--help" not in param.opts:
                record = param.get_help_record(context)
                if record is not None:
                    yield record
