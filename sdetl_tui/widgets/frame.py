"""What stands around every place: banner, step rail, meter, next action, status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Static

import sdetl_engine as engine
from sdetl_engine import Stage, Status
from sdetl_tui.blocks import Span, Tone, line
from sdetl_tui.glyphs import bar, percent, sparkline
from sdetl_tui.text import content, contents
from sdetl_tui.views.figures import count, duration, size
from sdetl_tui.views.states import state_of
from sdetl_tui.wizard import STAGE_OF, Place

if TYPE_CHECKING:
    from sdetl_engine import Health, Snapshot
    from sdetl_tui.blocks import Line
    from sdetl_tui.bridge import Pulse
    from sdetl_tui.glyphs import Glyphs
    from sdetl_tui.wizard import Action, Situation


class Shown(Static):
    """Text that is sent to the terminal only when it changes."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__("", id=id, classes=classes, markup=False)
        self._last: Content | None = None

    def show(self, shown: Content) -> None:
        """Show it, unless it is what stands there already."""
        if self._last is None or not self._last.is_same(shown):
            self._last = shown
            self.update(shown)


class Banner(Shown):
    """Environment in a word, source and target, the run, and the mode."""

    def tell(
        self, environment: str, moving: str, run_id: str | None, modes: tuple[str, ...], width: int, cut: str
    ) -> None:
        """One line."""
        mode = " ".join(modes)
        right = f"{mode}  {run_id or 'no run'}".strip()
        left = f" {environment}  {moving}"
        room = max(0, width - len(right) - 2)
        shown = left if len(left) <= room else left[: max(0, room - 1)] + cut
        self.show(content(line(Span(shown.ljust(room), Tone.STRONG), f" {right} ")))


class Rail(Shown):
    """The ten steps: number, name, state in sign and word.  Where you are is marked."""

    def tell(self, now: Situation, here: Place, glyphs: Glyphs, *, flat: bool) -> None:
        """Redraw."""
        if flat:
            self.show(content(self._flat(now, here, glyphs)))
            return
        lines = [self._step(number, stage, now, here, glyphs) for number, stage in enumerate(Stage, 1)]
        summary = Span(
            " * summary" if here is Place.SUMMARY else "   summary", Tone.ACCENT if here is Place.SUMMARY else Tone.DIM
        )
        self.show(contents([*lines, line(""), line(summary)]))

    def _step(self, number: int, stage: Stage, now: Situation, here: Place, glyphs: Glyphs) -> Line:
        state = state_of(stage, now)
        is_here = STAGE_OF.get(here) is stage
        name = Span(f"{number:>2} {stage:<9}", Tone.STRONG if is_here else Tone.PLAIN)
        word = Span(f"{glyphs.status[state.sign]} {state.short}", state.tone)
        return line(Span(">" if is_here else " ", Tone.ACCENT), name, " ", word)

    def _flat(self, now: Situation, here: Place, glyphs: Glyphs) -> Line:
        spans: list[str | Span] = []
        for number, stage in enumerate(Stage, 1):
            state = state_of(stage, now)
            sign = f"{number}{glyphs.status[state.sign]}"
            spans.append(Span(f"[{sign}]" if STAGE_OF.get(here) is stage else f" {sign} ", state.tone))
        return line(*spans, f" {here}")


class Meter(Shown):
    """Live progress: what it does, a bar, done of total, rate, time to go, elapsed; where the work is also the rate over
    time, health, and what it has told."""

    def tell(self, pulse: Pulse, glyphs: Glyphs, width: int, *, in_full: bool) -> None:
        """Redraw from a pulse; without work under way there is nothing to show."""
        self.display = pulse.situation.running
        if not self.display:
            return
        self.show(contents(self._lines(pulse, glyphs, width, in_full=in_full)))

    def _lines(self, pulse: Pulse, glyphs: Glyphs, width: int, *, in_full: bool) -> list[Line]:
        snapshot = pulse.snapshot
        if snapshot is None:
            return [line(Span("working ...", Tone.ACCENT), f"  {duration(pulse.elapsed)}")]
        lines = [
            line(Span(snapshot.what, Tone.ACCENT)),
            self._bar(snapshot, glyphs, width),
            self._figures(pulse, snapshot),
        ]
        if not in_full:
            return lines
        drawn = sparkline(list(pulse.rates), min(40, max(0, width - 12)), glyphs)
        if drawn.strip():
            lines.append(line(Span("rate      ", Tone.DIM), Span(drawn, Tone.ACCENT)))
        if pulse.health is not None:
            lines.append(_health(pulse.health))
        lines += [line(Span(f"{item.at}  ", Tone.DIM), item.message) for item in pulse.told]
        return lines

    def _bar(self, snapshot: Snapshot, glyphs: Glyphs, width: int) -> Line:
        if not snapshot.total:
            return line(Span(glyphs.empty * max(4, min(40, width - 18)), Tone.DIM), "  size unknown")
        cells = max(4, min(40, width - 10))
        share = snapshot.done / snapshot.total
        return line(
            Span(bar(share, cells, glyphs), Tone.ACCENT),
            f" {percent(min(snapshot.done, snapshot.total), snapshot.total):>5}",
        )

    def _figures(self, pulse: Pulse, snapshot: Snapshot) -> Line:
        is_bytes = snapshot.unit == "bytes"
        done = size(snapshot.done) if is_bytes else count(snapshot.done)
        whole = "" if snapshot.total is None else f" of {size(snapshot.total) if is_bytes else count(snapshot.total)}"
        unit = "" if is_bytes else f" {snapshot.unit}"
        rate = ""
        if pulse.per_second:
            rate = f", {size(int(pulse.per_second)) if is_bytes else count(int(pulse.per_second))}{unit}/s"
        left = f", {duration(pulse.remaining)} to go" if pulse.remaining is not None and pulse.remaining >= 1 else ""
        return line(f"{done}{whole}{unit}{rate}{left}, {duration(pulse.elapsed)} so far")


def _health(health: Health) -> Line:
    return line(
        Span("health    ", Tone.DIM),
        f"{size(health.free_bytes)} free on disk, {health.memory_used:.0%} of memory in use",
    )


class NextBar(Horizontal):
    """The primary action as a button that names what it does, and a line that says what comes next or why not."""

    DEFAULT_CSS = """
    NextBar { height: 1; }
    NextBar > Button { min-width: 4; margin: 0 1; }
    NextBar > #next { width: 1fr; height: 1; }
    """

    def compose(self) -> ComposeResult:
        """Button and line."""
        yield Button("", id="primary", compact=True, variant="primary")
        yield Shown(id="next")

    def tell(self, action: Action, words: str, *, alarm: bool = False) -> None:
        """Show what can be done now."""
        button = self.query_one("#primary", Button)
        label = content(line(f" {action.label} "))
        if str(button.label) != str(label):
            button.label = label
            button.refresh(layout=True)
        tone = Tone.BAD if alarm else (Tone.NOTICE if action.why_not else Tone.PLAIN)
        self.query_one("#next", Shown).show(content(line(Span(words, tone))))


class KeyHint(Static):
    """A key and its word; a click does what the key does."""

    def __init__(self, key: str, word: str) -> None:
        shown = {"slash": "/", "escape": "Esc", "enter": "Enter"}.get(key, key.upper())
        super().__init__(content(line(Span(shown, Tone.ACCENT), f" {word}  ")), markup=False)
        self._key = key

    def on_click(self) -> None:
        """The mouse is a way to press keys."""
        self.app.simulate_key(self._key)


class KeyLine(Horizontal):
    """The keys that matter here."""

    DEFAULT_CSS = """
    KeyLine { height: 1; padding: 0 1; background: $panel; }
    KeyLine > KeyHint { width: auto; height: 1; }
    """

    def __init__(self, hints: tuple[tuple[str, str], ...]) -> None:
        super().__init__()
        self._hints = hints

    def compose(self) -> ComposeResult:
        """One hint after the other."""
        for key, word in self._hints:
            yield KeyHint(key, word)


class StatusBar(Shown):
    """Elapsed time, rate, heartbeat and what else is at work, in one line."""

    def tell(self, pulse: Pulse, jobs: tuple[str, ...], hint: str) -> None:
        """One line."""
        parts: list[str] = []
        now = pulse.situation
        if now.running:
            word = "stopping" if now.stopping else "working"
            parts.append(f"{now.running_stage or ''} {word} {duration(pulse.elapsed)}".strip())
        elif now.has_run:
            done = sum(r.status in (Status.PASSED, Status.SKIPPED) for r in now.records)
            parts.append(f"{done} of {engine.counted(len(now.records), 'stage')} done")
        parts += [f"{job} ..." for job in jobs]
        if hint:
            parts.append(hint)
        self.show(content(line(Span(" " + " | ".join(parts), Tone.DIM))))
