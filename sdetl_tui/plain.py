"""``sdetl --plain``: the wizard line by line.  What is possible is decided by ``wizard.py``, as on the full screen."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import sdetl_engine as engine
from sdetl_engine import Choice, Decision, ExitCode, Fault, SdetlError, Severity, Stage, Status
from sdetl_tui.blocks import Note, Table, line
from sdetl_tui.export import export
from sdetl_tui.glyphs import ASCII, UNICODE, percent
from sdetl_tui.help import PAGES
from sdetl_tui.lines import PAGE, Ended, Teller
from sdetl_tui.views import cutover, drill, findings, summary, types, versions
from sdetl_tui.views.figures import count, duration, size
from sdetl_tui.views.findings import ARGUED, Filter
from sdetl_tui.views.look import Look
from sdetl_tui.views.places import VIEWS
from sdetl_tui.views.purposes import purpose
from sdetl_tui.views.states import state_of
from sdetl_tui.wizard import (
    EFFECT,
    STAGE_OF,
    Deed,
    Guard,
    Place,
    exit_code,
    home,
    next_line,
    primary,
    run_on_until,
    unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sdetl_engine import Settings, TargetSession
    from sdetl_tui.blocks import Block, Line, Row
    from sdetl_tui.bridge import Bridge, Pulse
    from sdetl_tui.session import Form
    from sdetl_tui.views.findings import Item
    from sdetl_tui.wizard import Action, Situation

_POLL = 0.2
_TOLD_EVERY = 5.0
COMMANDS = (
    ("(Enter)", "do what 'Next' names"),
    ("on", "go on until something needs you, never into the cutover"),
    ("findings, types, versions, rollback, drill, summary, start", "go there; any stage by its name too"),
    ("show T N", "row N of table T in full (show N: of table 1)"),
    ("more T", "the next rows of table T"),
    ("decide N", "decide about finding N (at findings)"),
    ("agree", "agree to every open review, with one reason (at findings)"),
    ("type COLUMN TYPE", "load table.column as another type (at types)"),
    ("again, log, export, help, quit", "check again; what the engine did; write this place to a file; this; leave"),
)


class LineMode:
    """One session of the wizard in lines."""

    def __init__(
        self,
        bridge: Bridge,
        form: Form,
        settings: Callable[[Path | None], Settings],
        teller: Teller,
        *,
        ascii_only: bool = False,
    ) -> None:
        self._bridge = bridge
        self._form = form
        self._settings_of = settings
        self._teller = teller
        self._glyphs = ASCII if ascii_only else UNICODE
        self._place = Place.START
        self._tables: list[Table] = []
        self._pages: dict[int, int] = {}
        self._ending: int | None = None

    def run(self) -> int:
        """Until the operator leaves, the input ends, or a signal comes.  Returns the exit code."""
        with self._signals():
            try:
                self._teller.say("sdetl, line by line. 'help' tells the commands, Enter does what 'Next' names.")
                self._offer_runs()
                while True:
                    self._tell_place()
                    if not self._command(self._ask_command()):
                        return exit_code(self._now)
            except Ended as ended:
                return self._leave(ended)

    # telling

    @property
    def _now(self) -> Situation:
        return self._bridge.situation()

    def _tell_place(self) -> None:
        now, teller = self._now, self._teller
        stage = STAGE_OF.get(self._place)
        state = f", {state_of(stage, now).words}" if stage is not None else ""
        teller.say()
        teller.say(f"== {self._place}{state} ==")
        teller.say(purpose(self._place))
        self._pages = {}
        self._tables = teller.tell((*self._trouble(now), *self._blocks()))
        teller.say(f"Next: {primary(self._place, now).label}. {next_line(self._place, now)}")

    def _trouble(self, now: Situation) -> tuple[Block, ...]:
        stage, outcome = STAGE_OF.get(self._place), self._bridge.outcome
        if stage is None or outcome is None or outcome.error is None:
            return ()
        if now.record(stage).status in (Status.FAILED, Status.CANCELLED, Status.HALTED, Status.REVIEW):
            return (Note(_error_lines(outcome.error)),)
        return ()

    def _look(self) -> Look | None:
        runner = self._bridge.runner
        return Look(runner.deployment, runner.records, self._glyphs) if runner is not None else None

    def _blocks(self) -> Sequence[Block]:
        try:
            return self._view()
        except SdetlError as error:
            return (Note(_error_lines(error)),)

    def _view(self) -> Sequence[Block]:
        look = self._look()
        match self._place:
            case Place.START:
                return (versions.runs(self._bridge.run_states()),)
            case Place.VERSIONS:
                return versions.blocks(self._registry())
            case Place.ROLLBACK:
                return versions.way_back(self._registry(), None)
            case Place.DRILL:
                with self._session() as (session, settings):
                    earlier = engine.earlier_drills(session)
                return drill.blocks(
                    settings.drill_schema, tuple(Fault), (), None, earlier, self._glyphs, is_running=False
                )
        if look is None:
            return ()
        match self._place:
            case Place.FINDINGS:
                return findings.blocks(look, self._bridge.findings, Filter())
            case Place.TYPES:
                return types.blocks(look)
            case Place.SUMMARY:
                runner = self._bridge.runner
                assert runner is not None
                return summary.blocks(look, engine.checklist_lines(runner), engine.live_now(runner))
            case Place.CUTOVER:
                loaded = look.record(Stage.MIGRATE).status is Status.PASSED
                return cutover.blocks(look, engine.contrast(look.run) if loaded else None)
        stage = STAGE_OF[self._place]
        return VIEWS[stage][0](look)

    def _detail(self, table: Table, key: str) -> Sequence[Block]:
        look = self._look()
        if self._place is Place.VERSIONS:
            found = next((v for v in self._registry() if v.version == key), None)
            return versions.detail(found) if found is not None else ()
        if look is None:
            return ()
        if self._place is Place.FINDINGS:
            return findings.detail(look, self._bridge.findings[int(key)])
        if self._place is Place.TYPES:
            return VIEWS[Stage.PROFILE][1](look, "columns", key)
        if self._place is Place.SUMMARY:
            assert self._bridge.runner is not None
            return summary.detail(engine.checklist_lines(self._bridge.runner), look, key)
        stage = STAGE_OF.get(self._place)
        return VIEWS[stage][1](look, table.name, key) if stage is not None and stage in VIEWS else ()

    # commands

    def _ask_command(self) -> str:
        while True:
            try:
                return self._teller.ask(">")
            except KeyboardInterrupt:
                self._teller.say("Ctrl-C does nothing here: 'quit' leaves.")

    def _command(self, words: str) -> bool:
        """Carry a command out; False when it is time to leave."""
        verb, _, rest = words.partition(" ")
        rest = rest.strip()
        try:
            match verb.lower():
                case "quit" | "q" | "exit":
                    return False
                case "":
                    return self._primary()
                case "on":
                    self._run_on()
                case "show":
                    self._show(rest)
                case "more":
                    self._more(rest)
                case "decide":
                    self._decide(rest)
                case "agree":
                    self._agree()
                case "type":
                    self._retype(rest)
                case "again":
                    self._again()
                case "log":
                    for noted in list(self._bridge.log)[-PAGE:]:
                        self._teller.say(f"{noted.at} {noted.level} {noted.message}")
                case "export":
                    self._export()
                case "help" | "?":
                    self._help()
                case other:
                    self._go(other)
        except SdetlError as error:
            self._tell_error(error)
        return True

    def _go(self, name: str) -> None:
        try:
            place = Place(name.lower())
        except ValueError:
            self._teller.say(f"There is no command or place {name!r}: 'help' tells what there is.")
            return
        why_not = unreachable(place, self._now)
        if why_not is not None:
            self._teller.say(f"Not now: {why_not}")
        else:
            self._place = place

    def _primary(self) -> bool:
        action = primary(self._place, self._now)
        if action.why_not is not None and action.deed is not Deed.GO:
            self._teller.say(f"Not now: {action.why_not}")
            return True
        match action.deed:
            case Deed.GO | Deed.DECIDE if action.place is not None:
                self._place = action.place
            case Deed.BEGIN:
                self._begin()
            case Deed.RUN if action.stage is not None:
                self._run_guarded(action)
            case Deed.SWITCH:
                self._switch()
            case Deed.ROLL_BACK:
                self._roll_back()
            case Deed.DRILL:
                self._drill()
            case Deed.QUIT:
                return False
        return True

    # deeds

    def _offer_runs(self) -> None:
        for state in self._bridge.run_states():
            if not state.is_resumable or self._bridge.read_only:
                continue
            where = f" at {state.goes_on_at}" if state.goes_on_at else ""
            self._teller.say(
                f"Run {state.run_id} stopped{where} ({state.outcome}), {engine.counted(len(state.finished), 'stage')} done."
            )
            if self._teller.agrees("Take it up?"):
                try:
                    self._bridge.take(self._bridge.open_run(state.run_id))
                except SdetlError as error:
                    self._tell_error(error)
                    continue
                self._place = home(self._now)
            return

    def _begin(self) -> None:
        form, teller = self._form, self._teller
        form.source = form.source or teller.ask("Which SQLite file? (it is only ever read)")
        if not form.target and not self._bridge.dry_run:
            form.target = teller.ask("Which target? A libpq URL, key/value string, service name, or: embedded")
        try:
            settings = self._settings_of(Path(form.plan).expanduser() if form.plan else None)
            self._bridge.begin(Path(form.source).expanduser(), form.target or None, settings)
        except SdetlError:
            form.source = form.target = ""
            raise
        self._place = Place.PREFLIGHT

    def _run_guarded(self, action: Action) -> None:
        assert action.stage is not None
        if action.guard >= Guard.CONFIRM:
            effect, undo = EFFECT[action.stage]
            self._teller.say(effect)
            self._teller.say(f"Undo: {undo}")
            if not self._teller.agrees(f"{action.label}?"):
                return
        self._work(action.stage)

    def _run_on(self) -> None:
        until, why_not = run_on_until(self._now)
        if until is None:
            self._teller.say(f"Not now: {why_not}")
        elif self._teller.agrees(f"Runs everything up to {until}, and stops where a gate needs you."):
            self._work(until)

    def _work(self, until: Stage) -> None:
        self._bridge.run(until)
        self._follow()
        if self._ending is not None:
            raise Ended(self._ending)
        self._place = home(self._now) if self._now.outcome and self._now.outcome.error else Place(until.value)

    def _follow(self) -> None:
        """Tell progress until the engine's thread has ended; Ctrl-C asks it to stop at the next safe point."""
        told: set[Stage] = set()
        last = time.monotonic()
        while True:
            pulse = self._bridge.poll()
            for record in pulse.situation.records:
                if (
                    record.status is not Status.PENDING
                    and record.status is not Status.RUNNING
                    and record.stage not in told
                ):
                    told.add(record.stage)
                    if record.seconds:
                        state = state_of(record.stage, pulse.situation).words
                        self._teller.say(f"{record.stage}: {state} in {duration(record.seconds)}")
            if not pulse.situation.running:
                return
            if pulse.snapshot is not None and time.monotonic() - last > _TOLD_EVERY:
                last = time.monotonic()
                self._tell_progress(pulse)
            try:
                time.sleep(_POLL)
            except KeyboardInterrupt:
                self._teller.say("Stopping at the next safe point; nothing is lost by waiting.")
                self._bridge.stop()

    def _tell_progress(self, pulse: Pulse) -> None:
        snapshot = pulse.snapshot
        if snapshot is None:
            return
        shown = size if snapshot.unit == "bytes" else count
        total = f" of {shown(snapshot.total)}, {percent(snapshot.done, snapshot.total)}" if snapshot.total else ""
        rate = f", {shown(int(pulse.per_second))} a second" if pulse.per_second else ""
        left = f", {duration(pulse.remaining)} to go" if pulse.remaining is not None and pulse.remaining >= 1 else ""
        self._teller.say(f"{snapshot.what}: {shown(snapshot.done)}{total}{rate}{left}")

    def _switch(self) -> None:
        runner = self._bridge.runner
        assert runner is not None
        serving = runner.deployment.settings.serving_schema
        open_ones = self._now.open_findings(Stage.CUTOVER)
        for finding in open_ones:
            self._teller.say(f"{finding.severity}: {finding.message}")
        if (
            self._teller.ask(f"Type {serving} to make {runner.deployment.version} live, anything else to leave it.")
            != serving
        ):
            self._teller.say("Nothing was switched.")
            return
        reason = f"typed {serving} in the wizard"
        made = [(Stage.CUTOVER, Decision(f.rule, Choice.ACCEPT, reason, f.table, f.column)) for f in open_ones]
        self._bridge.decide(made, reconsider=False)
        self._work(Stage.CUTOVER)

    def _roll_back(self) -> None:
        if not versions.can_go_back(self._registry()):
            self._teller.say("Not now: there is no version to go back to.")
            return
        self._bridge.release_target()
        with self._session() as (session, settings):
            late = engine.late_writes(self._bridge.workspace, session, settings, engine.SilentReporter())
            for text in versions.left_behind(late):
                self._teller.say_line(text)
            if not self._teller.agrees("Make the version live again that was live before?"):
                return
            done = engine.rollback(session, settings, engine.SilentReporter(), late=late)
        self._teller.tell((versions.went_back(done),))

    def _drill(self) -> None:
        if not self._teller.agrees("Rehearses in a schema of its own and drops everything of it."):
            return
        self._teller.say("Rehearsing; this takes a minute or two.")
        with self._session() as (session, settings):
            result = engine.drill(self._bridge.workspace, session, settings, _StepTeller(self._teller))
        shown = drill.blocks(
            settings.drill_schema, (), result.steps, result, result.earlier, self._glyphs, is_running=False
        )
        self._teller.tell(shown)

    # findings and types

    def _row(self, words: str) -> tuple[Table, Row] | None:
        numbers = [int(w) for w in words.split() if w.isdecimal()]
        table, row = (numbers[0], numbers[1]) if len(numbers) == 2 else (1, numbers[0] if numbers else 0)
        if 1 <= table <= len(self._tables) and 1 <= row <= len(self._tables[table - 1].rows):
            return self._tables[table - 1], self._tables[table - 1].rows[row - 1]
        self._teller.say("There is no such row: name it by its number, e.g. 'show 3', or with its table, 'show 2 3'.")
        return None

    def _show(self, words: str) -> None:
        found = self._row(words)
        if found is not None:
            table, row = found
            self._teller.tell(self._detail(table, row.key) or (table.in_full(row),))

    def _more(self, words: str) -> None:
        number = int(words) if words.isdecimal() else 1
        if not 1 <= number <= len(self._tables):
            self._teller.say("There is no such table here.")
            return
        self._pages[number] = self._pages.get(number, 0) + PAGE
        self._teller.tell_table(self._tables[number - 1], self._pages[number], number)

    def _decide(self, words: str) -> None:
        if self._place is not Place.FINDINGS:
            self._teller.say("Go to the findings first: 'findings'.")
            return
        found = self._row(words)
        look = self._look()
        if found is None or look is None or self._why_no_decision():
            return
        item = self._bridge.findings[int(found[1].key)]
        self._teller.tell(findings.detail(look, item))
        if not findings.is_decidable(item[1]):
            self._teller.say("It asks for no decision.")
            return
        decision = self._ask_decision(item)
        if decision is None:
            return
        before, after = engine.gate_of(look.record(item[0]).findings), self._bridge.would_be([decision], item[0])
        self._teller.say_line(findings.gate_word(before, after))
        if self._teller.agrees("Record it?"):
            self._bridge.decide([(item[0], decision)])
            self._teller.say("Recorded.")

    def _ask_decision(self, item: Item) -> Decision | None:
        _, finding = item
        offers = findings.offers(finding)
        for number, offer in enumerate(offers, 1):
            self._teller.say(f"{number}. {offer.words}")
        answer = self._teller.ask("Which? A number, anything else to leave it.")
        if not answer.isdecimal() or not 1 <= int(answer) <= len(offers):
            return None
        offer = offers[int(answer) - 1]
        argument = None
        if offer.choice in ARGUED:
            argument = self._teller.ask(f"Which one? (Enter: {finding.suggestion})") or finding.suggestion
        reason = self._teller.ask("Why? It stands in journal, plan and report.")
        if not reason or (offer.choice in ARGUED and not argument):
            self._teller.say("A decision needs a reason, and this one needs to say which: nothing was recorded.")
            return None
        fault = engine.argument_fault(offer.choice, argument) if argument is not None else None
        if fault is not None:
            self._teller.say(f"Nothing was recorded: {fault}")
            return None
        table, column = ("*", "*") if offer.everywhere else (finding.table, finding.column)
        return Decision(finding.rule, offer.choice, reason, table, column, argument)

    def _agree(self) -> None:
        agreeable = [
            (stage, f)
            for stage, f in self._bridge.findings
            if f.is_open
            and f.severity is Severity.REVIEW
            and stage is not Stage.CUTOVER
            and Choice.ACCEPT in findings.choices(f)
        ]
        if not agreeable:
            self._teller.say("Nothing can be agreed to: no review is open (a halt needs its own decision).")
        elif not self._why_no_decision():
            for _, finding in agreeable:
                self._teller.say(f"{finding.rule}, {findings.where(finding)}: {finding.message}")
            reason = self._teller.ask(f"Why do you agree to these {len(agreeable)}? (nothing: leave them)")
            if reason:
                made = [(stage, Decision(f.rule, Choice.ACCEPT, reason, f.table, f.column)) for stage, f in agreeable]
                self._bridge.decide(made)
                self._teller.say("Recorded.")

    def _retype(self, words: str) -> None:
        column, _, wanted = words.rpartition(" ")
        look = self._look()
        result = look.result(Stage.PROFILE, engine.ProfileResult) if look is not None else None
        verdict = next((v for v in result.verdicts if f"{v.table}.{v.column}" == column), None) if result else None
        if look is None or verdict is None:
            self._teller.say("Say it like this: type tickets.created_time timestamptz")
            return
        if self._why_no_decision():
            return
        self._teller.tell(types.cost(engine.type_cost(look.run, verdict.table, verdict.column, wanted)))
        reason = self._teller.ask("Why? (nothing: leave it)")
        if reason:
            decision = Decision("TYPE-MISMATCH", Choice.SET_TYPE, reason, verdict.table, verdict.column, wanted)
            self._bridge.decide([(Stage.PROFILE, decision)])
            self._teller.say("Recorded: the profile runs again with it.")

    def _why_no_decision(self) -> bool:
        why = "this session is read-only" if self._bridge.read_only else None
        why = why or ("the version is live: decisions are for the next run" if self._now.is_live else None)
        if why is not None:
            self._teller.say(f"Not now: {why}")
        return why is not None

    def _again(self) -> None:
        stage = STAGE_OF.get(self._place)
        if stage is None or not self._now.has_run:
            return
        first = stage is Stage.PREFLIGHT and self._now.record(Stage.BACKUP).status is Status.PENDING
        if self._bridge.read_only or not (first or self._now.record(stage).status in (Status.FAILED, Status.CANCELLED)):
            self._teller.say("There is nothing to check again here.")
            return
        self._bridge.forget(stage)
        self._work(stage)

    # around

    def _registry(self) -> Sequence[engine.Version]:
        with self._session() as (session, settings):
            return engine.list_versions(session, settings.serving_schema)

    @contextlib.contextmanager
    def _session(self) -> Iterator[tuple[TargetSession, Settings]]:
        runner = self._bridge.runner
        target = self._form.target
        if not target and runner is not None and runner.deployment.session is not None:
            target = runner.deployment.session.spoken
        if not target:
            raise engine.UsageError("no target is named", next_step="start sdetl with --target T")
        settings = runner.deployment.plan_settings if runner is not None else self._settings_of(None)
        with engine.open_session(self._bridge.workspace, target, settings) as session:
            yield session, settings

    def _export(self) -> None:
        runner = self._bridge.runner
        if runner is None:
            self._teller.say("There is nothing to write: no run yet.")
            return
        try:
            path = export(runner.deployment.folder.path, str(self._place), self._blocks())
        except OSError as error:
            self._teller.say(f"It could not be written: {error.strerror}")
        else:
            self._teller.say(f"Written to {path}")

    def _help(self) -> None:
        for text in PAGES[self._place].split("\n"):
            self._teller.say(text)
        for names, meaning in COMMANDS:
            self._teller.say(f"{names}: {meaning}")

    def _tell_error(self, error: SdetlError) -> None:
        self._teller.say(f"error: {error.message}")
        self._teller.say(f"left behind: {error.left_behind}; next: {error.next_step}")

    def _leave(self, ended: Ended) -> int:
        self._bridge.stop(ExitCode(ended.code) if ended.code is not None else ExitCode.CANCELLED)
        if ended.code is not None:
            return ended.code
        return exit_code(self._now)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGHUP: stop what works at its next safe point, then leave with the code that says so."""

        def handle(number: int, frame: object) -> None:
            code = ExitCode.TERMINATED if number == signal.SIGTERM else ExitCode.HANGUP
            self._ending = int(code)
            if self._bridge.is_running:
                self._bridge.stop(code)
            else:
                raise Ended(int(code))

        before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)


class _StepTeller(engine.SilentReporter):
    """Says each step of a drill when it ends."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def event(self, name: str, message: str, *, level: str = "info", **context: object) -> None:
        """One line for each finished step."""
        if name == "DrillStepFinished":
            self._teller.say(message)


def _error_lines(error: SdetlError) -> tuple[Line, ...]:
    return (
        line(error.message),
        line(f"left behind: {error.left_behind}"),
        line(f"next: {error.next_step}"),
    )
