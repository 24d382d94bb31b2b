"""The rows behind a finding as a table's rows: however many there are, only the page that is looked at is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import sdetl_engine as engine
from sdetl_tui.blocks import Row, SlowRows, line

if TYPE_CHECKING:
    from sdetl_engine import Deployment, Evidence, EvidenceMark, Finding, Reporter


def evidence_rows(shown: Sequence[Evidence], *, first: int) -> list[Row]:
    """One row each, named by its number from ``first`` on: rows of tables without rowids have no name of their own."""
    return [Row(str(number), (line(e.key), line(e.value))) for number, e in enumerate(shown, first)]


class EvidenceRows(SlowRows):
    """As many rows as the finding counts.  Where a page began is remembered: turning to the next or the one before
    reads that page alone."""

    def __init__(self, run: Deployment, finding: Finding) -> None:
        self._run = run
        self._finding = finding
        self._begins: dict[int, EvidenceMark | None] = {0: None}
        """By the number of a row: the one after which it is looked for."""

    def __len__(self) -> int:
        return self._finding.count

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, int):
            return self.read(index, 1)[0]
        first, last, _ = index.indices(len(self))
        return self.read(first, max(0, last - first))

    def read(self, first: int, limit: int, reporter: Reporter | None = None) -> Sequence[Row]:
        """Rows from the one numbered ``first`` on."""
        known = max(begin for begin in self._begins if begin <= first)
        page = engine.finding_rows(
            self._run, self._finding, after=self._begins[known], limit=first - known + limit, reporter=reporter
        )
        if page.last is not None:
            self._begins[first + limit] = page.last
        return evidence_rows(page.evidence[first - known :], first=first)
