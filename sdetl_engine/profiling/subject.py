"""One column that has something to say: what was measured, what was decided, and findings about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sdetl_engine.findings import Finding, Severity
from sdetl_engine.profiling.breaker import evidence
from sdetl_engine.profiling.facts import ColumnFacts, TypeVerdict, Witness
from sdetl_engine.profiling.jury import JuryVerdict
from sdetl_engine.rules import RULES
from sdetl_engine.values.types import Kind, TargetType


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """One column that has something to say."""

    facts: ColumnFacts
    verdict: TypeVerdict
    jury: JuryVerdict | None

    @property
    def name(self) -> str:
        """``table.column``."""
        return f"{self.facts.table}.{self.facts.column}"

    @property
    def kind(self) -> Kind:
        """The kind of its chosen type."""
        return TargetType.parse(self.verdict.chosen).kind

    def set_type(self, name: str) -> str:
        """The option that gives the column another type."""
        return f"--set 'load.types.{self.name}={name}'"

    def finding(
        self,
        rule: str,
        count: int,
        message: str,
        advice: str = "nothing to do",
        *,
        severity: Severity | None = None,
        suggestion: str | None = None,
        witnesses: Sequence[Witness] = (),
    ) -> Finding:
        """A finding about the column; severity and choices are the rule's."""
        return Finding(
            rule,
            severity or RULES[rule].severity,
            message,
            advice,
            table=self.facts.table,
            column=self.facts.column,
            count=count,
            fraction=count / self.facts.rows if self.facts.rows else None,
            choices=RULES[rule].choices,
            suggestion=suggestion,
            evidence=evidence(witnesses),
        )
