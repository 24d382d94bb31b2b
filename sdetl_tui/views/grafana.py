"""What Grafana itself showed: its server and data source, and its panels after the switch beside before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdetl_engine import Verdict
from sdetl_tui.blocks import Column, Row, Span, Table, Tone, line
from sdetl_tui.views.figures import Rows, count

if TYPE_CHECKING:
    from sdetl_engine import GrafanaPanel, GrafanaSeen
    from sdetl_tui.blocks import Block, Line
    from sdetl_tui.views.look import Look


def grafana_facts(look: Look, seen: GrafanaSeen | None) -> list[tuple[str, Line]]:
    """Server, data source, panels counted, and what could not be asked; nothing where no server was named."""
    if seen is None:
        return []
    facts: list[tuple[str, Line]] = [("Grafana", line(f"{seen.url}, version {seen.version or 'unknown'}"))]
    if seen.source is not None:
        source = seen.source
        known = {True: ", provisioned", False: ", not provisioned", None: ""}[source.is_provisioned]
        told = f"{source.name}: database {source.database or 'not told'} as {source.user or 'not told'}{known}"
        facts.append(("data source", (*look.verdict(source.health), *line(f"  {told}"))))
    if seen.panels:
        counts = [(v, sum(p.verdict is v for p in seen.panels)) for v in Verdict]
        text = ", ".join(f"{n} {v}" for v, n in counts if n)
        good = all(p.verdict is Verdict.PASSED for p in seen.panels)
        facts.append(("its panels", line(Span(text, Tone.GOOD if good else Tone.NOTICE))))
    facts += [("not asked", line(Span(problem, Tone.NOTICE))) for problem in seen.problems]
    return facts


def grafana_panels(look: Look, seen: GrafanaSeen | None) -> tuple[Block, ...]:
    """The panels after the switch, those that fail or differ first."""
    if seen is None or not seen.panels:
        return ()
    panels = sorted(enumerate(seen.panels), key=lambda item: (item[1].verdict is Verdict.PASSED, not _differs(item[1])))
    columns = (
        Column("Result"),
        Column("Rows", right=True, spare=True),
        Column("Beside before"),
        Column("Panel"),
        Column("Dashboard", spare=True),
    )
    return (Table("grafana", columns, Rows(panels, lambda p: _row(look, *p)), title="Through Grafana"),)


def _differs(panel: GrafanaPanel) -> bool:
    return panel.twin is not None and bool(panel.twin.how)


def _row(look: Look, number: int, panel: GrafanaPanel) -> Row:
    beside = panel.error or ("; ".join((panel.twin.verdict, *panel.twin.how)) if panel.twin is not None else "-")
    cells = (
        look.verdict(panel.verdict),
        line(count(panel.rows)),
        line(beside),
        line(panel.panel),
        line(panel.dashboard),
    )
    return Row(str(number), cells)
