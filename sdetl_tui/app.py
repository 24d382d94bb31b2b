"""The app: places and how to get from one to another, signals, leaving, and the deeds that screens ask for.

Import this only after ``terminal.detect``: textual reads its environment when it is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, ScreenStackError, SystemCommand
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.events import Key
from textual.screen import Screen

import sdetl_engine as engine
from sdetl_engine import (
    Choice,
    Decision,
    ExitCode,
    SdetlError,
    Stage,
    Status,
)
from sdetl_tui.blocks import Span, Tone, line
from sdetl_tui.driver import Keyboard, KeyDone
from sdetl_tui.export import export
from sdetl_tui.glyphs import ASCII, UNICODE
from sdetl_tui.modals.ask import Choose, Confirm, TypeToConfirm
from sdetl_tui.modals.help import Help
from sdetl_tui.quick import forget_what_stays
from sdetl_tui.screens import screen_of
from sdetl_tui.screens.base import PlaceScreen
from sdetl_tui.session import Drilled
from sdetl_tui.session import Form as Form
from sdetl_tui.session import Session as Session
from sdetl_tui.terminal import leave_word, terminal_check
from sdetl_tui.text import written
from sdetl_tui.themes import THEMES, themes
from sdetl_tui.views.findings import Filter, Which
from sdetl_tui.widgets.scroll import use_ascii
from sdetl_tui.wizard import (
    EFFECT,
    Deed,
    Guard,
    Place,
    can_run_again,
    exit_code,
    home,
    primary,
    run_on_until,
    unreachable,
)

if TYPE_CHECKING:
    from sdetl_engine import (
        Check,
        LateWrites,
        Reporter,
        Settings,
        TargetSession,
    )
    from sdetl_tui.bridge import Job
    from sdetl_tui.wizard import Action

_SOON_SECONDS = 0.03
"""What is read from a file is mostly there by then: nobody should have to wait for the next beat."""
_SETTLED_SECONDS = 1.5
"""By then the first picture stands, and what it needed is in memory."""


class SdetlApp(App[int]):
    """The wizard."""

    TITLE = "sdetl"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    # Textual declares these as attributes of instances.
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (80, "-normal"), (160, "-vast")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (18, "-high"), (34, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "go('findings')", "Findings", id="findings"),
        Binding("g", "run_on", "Go on", id="run-on"),
        Binding("x", "stop", "Stop", id="stop"),
        Binding("l", "log", "Log", id="log"),
        Binding("s", "go('summary')", "Summary", show=False, id="summary"),
        Binding("t", "go('types')", "Types", show=False, id="types"),
        Binding("v", "go('versions')", "Versions", show=False, id="versions"),
        Binding("r", "go('rollback')", "Roll back", show=False, id="rollback"),
        Binding("d", "go('drill')", "Drill", show=False, id="drill"),
        Binding("h", "home", "Where it works", show=False, id="home"),
        Binding("e", "export", "Export", show=False, id="export"),
        Binding("f1", "help", "Help", id="help"),
        Binding("f10", "leave", "Quit", id="quit"),
        Binding("ctrl+q", "leave", "Quit", show=False, priority=True, id="quit-too"),
        Binding("ctrl+c", "explain_interrupt", show=False, priority=True, id="interrupt"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(driver_class=Keyboard)
        self.bridge = session.bridge
        self.form = session.form
        self.terminal = session.terminal
        self.settings_of = session.settings
        self.glyphs = ASCII if session.terminal.ascii else UNICODE
        self.finding_filter = Filter()
        self.drilled = Drilled()
        self.log_open = False
        self.holder: str | None = None
        self.last_words: tuple[str, ...] = ()
        self.defect: Exception | None = None
        self._history: list[Place] = []
        self._kept: dict[Place, PlaceScreen] = {}
        self._help: Help | None = None
        self._was_running = False
        self._followed: Stage | None = None
        self._ending: ExitCode | None = None
        self._has_left = False
        self.set_class(session.terminal.ascii, "ascii")
        use_ascii(only=session.terminal.ascii)
        for theme in themes():
            self.register_theme(theme)
        self.theme = THEMES[session.terminal.theme]

    # the keyboard

    def on_key(self, event: Key) -> None:
        """A capital that nobody wanted means its small letter: the screens print keys as capitals."""
        if len(event.key) == 1 and event.key.isupper():
            event.stop()
            self.simulate_key(event.key.lower())

    def on_key_done(self, message: KeyDone) -> None:
        """The keyboard asks whether a key is through."""
        with contextlib.suppress(ScreenStackError):
            message.follow(self)

    # what the frame shows

    @property
    def is_production(self) -> bool:
        """Every server that sdetl did not start by itself may have readers."""
        return bool(self.target) and self.target != "embedded"

    @property
    def environment_word(self) -> str:
        """A word for it, beside the colour."""
        if not self.target:
            return "SDETL"
        return "PRODUCTION" if self.is_production else "EMBEDDED"

    @property
    def target(self) -> str:
        """The target of the run, else what the form says."""
        runner = self.bridge.runner
        session = runner.deployment.session if runner is not None else None
        return session.spoken if session is not None else self.form.target.strip()

    @property
    def moving(self) -> str:
        """Source and target in a few words; a password never gets here."""
        runner = self.bridge.runner
        if runner is None:
            return "SQLite to PostgreSQL"
        target = self.target or "no target"
        return f"{runner.deployment.source.name} {self.glyphs.arrow} {target}/{runner.deployment.plan_settings.serving_schema}"

    @property
    def run_id(self) -> str | None:
        """The run at hand."""
        return self.bridge.runner.deployment.run_id if self.bridge.runner is not None else None

    @property
    def terminal_check(self) -> Check:
        """What the terminal can do, at its present size."""
        return terminal_check(self.terminal, self.size.width, self.size.height)

    @property
    def modes(self) -> tuple[str, ...]:
        """READ ONLY, DRY RUN."""
        return (*(("READ ONLY",) if self.bridge.read_only else ()), *(("DRY RUN",) if self.bridge.dry_run else ()))

    @property
    def hint(self) -> str:
        """What else is worth saying at the bottom."""
        return leave_word() if self.terminal.remote and not self.terminal.multiplexed else ""

    @property
    def place_screen(self) -> PlaceScreen | None:
        """The place below any dialog."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, PlaceScreen)), None)

    # life

    def on_mount(self) -> None:
        """First screen, signals, the heartbeat."""
        loop = asyncio.get_running_loop()
        for number, code in ((signal.SIGTERM, ExitCode.TERMINATED), (signal.SIGHUP, ExitCode.HANGUP)):
            # Only the main thread can; tests run the app elsewhere.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._end_by_signal, code)
        first = home(self.bridge.situation())
        self._history = [first]
        self.push_screen(screen_of(first))
        self.set_interval(self.terminal.poll_seconds, self._beat)
        self.set_timer(_SETTLED_SECONDS, forget_what_stays)
        engine.stay_responsive()

    def _beat(self) -> None:
        pulse = self.bridge.poll()
        now = pulse.situation
        if self._ending is not None and not self.bridge.is_running:
            self._end(int(self._ending))
            return
        if self._ending is None:
            self._follow(now.running_stage)
        screen = self.place_screen
        if screen is not None and screen.is_attached:
            screen.beat(pulse)
        if self._was_running and not now.running:
            self._work_ended()
        self._was_running = now.running

    def _follow(self, running: Stage | None) -> None:
        """While stages run one after another, the screen goes along, unless the operator is elsewhere."""
        if running is not None and running is not self._followed:
            forget_what_stays()
            before, self._followed = self._followed, running
            here = self._history[-1]
            if len(self.screen_stack) <= 2 and before is not None and here is Place(before.value):
                self.go(Place(running.value))

    def _work_ended(self) -> None:
        self.bell()
        now = self.bridge.situation()
        here = self._history[-1]
        waiting = home(now)
        stood_at = Place(self._followed.value) if self._followed is not None else None
        ended_well = now.outcome is None or now.outcome.error is None
        self._followed = None
        if here is stood_at and not ended_well and waiting is not here:
            self.go(waiting)

    # places

    def go(self, place: Place) -> None:
        """Go there, or say why not.  Going somewhere changes nothing."""
        why_not = unreachable(place, self.bridge.situation())
        screen = self.place_screen
        if why_not is not None:
            if screen is not None:
                screen.say(f"Not now: {why_not}")
            return
        if self._history[-1] is place:
            return
        self._history.append(place)
        self._show(place).arrive()

    def back(self) -> None:
        """Where one was before."""
        if len(self._history) > 1:
            self._history.pop()
            self._show(self._history[-1])
        elif self.place_screen is not None:
            self.place_screen.say("This is where you began: F10 leaves")

    def _show(self, place: Place) -> PlaceScreen:
        """Put the screen of a place where the one before was."""
        screen = self._kept.get(place)
        if screen is None:
            screen = screen_of(place)
            if screen.KEPT:
                self._kept[place] = screen
                self.install_screen(screen, str(place))
        self.switch_screen(screen)
        return screen

    # deeds

    def carry_out(self, action: Action, screen: PlaceScreen) -> None:
        """What the primary button says."""
        if action.why_not is not None and not (action.deed is Deed.GO and action.place is not None):
            screen.say(f"Not now: {action.why_not}" if action.deed is not Deed.NOTHING else action.why_not)
            return
        match action.deed:
            case Deed.GO if action.place is not None:
                self.go(action.place)
            case Deed.BEGIN:
                self._begin(screen)
            case Deed.RUN if action.stage is not None:
                self._run_guarded(action.stage, action.guard)
            case Deed.DECIDE:
                self.finding_filter = Filter(which=Which.OPEN, stage=action.stage)
                self.go(Place.FINDINGS)
            case Deed.SWITCH:
                self._switch()
            case Deed.QUIT:
                self.action_leave()
            case _:
                screen.perform(action.deed)

    def _begin(self, screen: PlaceScreen) -> None:
        source, target, plan = (text.strip() for text in (self.form.source, self.form.target, self.form.plan))
        try:
            if not source:
                raise engine.UsageError("no source is named", next_step="type the path of the SQLite file")
            if not target and not self.bridge.dry_run:
                raise engine.UsageError("no target is named", next_step="type a target, or: embedded")
            settings = self.settings_of(Path(plan).expanduser() if plan else None)
            self.bridge.begin(Path(source).expanduser(), target or None, settings)
        except SdetlError as error:
            screen.problem(error)
            return
        self._history = [Place.START]
        self.go(Place.PREFLIGHT)

    def resume(self, run_id: str) -> None:
        """Take a run up; its files are checked first, which takes a moment."""

        def done(job: Job) -> None:
            screen = self.place_screen
            if job.error is not None:
                if screen is not None:
                    screen.problem(job.error)
                return
            self.bridge.take(job.result)
            self._history = [Place.START]
            now = self.bridge.situation()
            finished = sum(r.status in (Status.PASSED, Status.SKIPPED) for r in now.records)
            self.go(home(now))
            if self.place_screen is not None:
                stand = engine.inflected(finished, "is finished and stands", "are finished and stand")
                self.call_after_refresh(self._say, f"taken up: {engine.counted(finished, 'stage')} {stand}")

        self.bridge.start_job("taking up the run", lambda: self.bridge.open_run(run_id), done)

    def _say(self, words: str) -> None:
        if self.place_screen is not None:
            self.place_screen.say(words)

    def _run_guarded(self, stage: Stage, guard: Guard) -> None:
        if guard < Guard.CONFIRM:
            self._run(stage)
            return
        effect, undo = EFFECT[stage]
        lines = [line(effect), line(""), line(Span("undo: ", Tone.DIM), undo)]

        def answered(yes: bool | None) -> None:
            if yes:
                self._run(stage)

        self.push_screen(Confirm(f"{stage}".capitalize(), lines, accept="Start", key="y"), answered)

    def _run(self, until: Stage) -> None:
        self._followed = self.bridge.situation().next_stage
        self._was_running = True
        self.bridge.run(until)

    def run_again(self, stage: Stage, screen: PlaceScreen) -> None:
        """F5 on a stage."""
        now = self.bridge.situation()
        status = now.record(stage).status
        if now.running:
            screen.say("Not now: a stage is at work")
        elif now.read_only:
            screen.say("Not now: this session is read-only")
        elif not now.has_run or not can_run_again(stage, status):
            screen.say(f"{stage} is {status}: there is nothing to check again")
        elif stage is Stage.PREFLIGHT and now.record(Stage.BACKUP).status is not Status.PENDING:
            screen.say("Not now: the backup was made from this check; begin a new run to check again")
        elif primary(Place(stage.value), now).deed is Deed.SWITCH:
            self._switch()
        else:
            self.bridge.forget(stage)
            self._run(stage)

    def decide(self, made: Sequence[tuple[Stage, Decision]], screen: PlaceScreen) -> None:
        """Record decisions; the gate is evaluated again at once."""
        try:
            gates = self.bridge.decide(made)
        except SdetlError as error:
            screen.say(error.message)
            return
        screen.draw_again()
        now = self.bridge.situation()
        told = ", ".join(f"{stage} is now {gate}" for stage, gate in gates.items())
        then = f"; {now.stale_from} runs again with it" if now.stale_from is not None else ""
        self.call_after_refresh(self._say, f"recorded: {told}{then}")

    def why_no_decision(self, stage: Stage) -> str | None:
        """Why nothing can be decided now, or None."""
        if self.bridge.read_only:
            return "this session is read-only"
        if self.bridge.is_running:
            return "a stage is at work: wait, or stop it with X"
        if stage is Stage.CUTOVER:
            return "the cutover is agreed to on its own screen, by typing a name"
        if self.bridge.situation().is_live:
            return "the version is live: decisions are for the next run"
        return None

    def _switch(self) -> None:
        runner = self.bridge.runner
        assert runner is not None
        serving = runner.deployment.settings.serving_schema
        open_ones = self.bridge.situation().open_findings(Stage.CUTOVER)
        has_before = bool(self.bridge.situation().record(Stage.CUTOVER).summary.get("previous"))
        lines = [
            line(
                "Version ",
                Span(runner.deployment.version, Tone.STRONG),
                " becomes live in ",
                Span(serving, Tone.STRONG),
                ".",
            ),
            line(
                "By hand: sdetl writes the SQL of both directions and changes nothing; run it, then come back."
                if runner.deployment.settings.cutover.strategy == "manual"
                else "One transaction; readers see the old version or the new one, whole."
            ),
            line("The way back: R on any screen, or sdetl rollback." if has_before else "Nothing is live there yet."),
            *(line(Span(f"{f.rule}: ", Tone.NOTICE), f.message) for f in open_ones if f.rule != "CUTOVER-AGREEMENT"),
        ]

        def answered(yes: bool | None) -> None:
            if yes is None:
                self._say("Nothing was switched: for a minute nobody typed")
            if not yes:
                return
            reason = f"typed {serving} in the wizard"
            made = [(Stage.CUTOVER, Decision(f.rule, Choice.ACCEPT, reason, f.table, f.column)) for f in open_ones]
            self.bridge.decide(made, reconsider=False)
            self._run(Stage.CUTOVER)

        self.push_screen(TypeToConfirm("Cut over", lines, name=serving, accept="Cut over now"), answered)

    def look_beside(self, work: Callable[[Reporter], object], then: Callable[[Job], None]) -> Callable[[], None]:
        """Look for rows beside the screens; what is returned leaves it off."""
        self.set_timer(_SOON_SECONDS, self._beat)
        return self.bridge.look_beside("looking for rows", work, then)

    def session_opener(self) -> Callable[[], contextlib.AbstractContextManager[tuple[TargetSession, Settings]]]:
        """How a job reaches the target, with the settings at hand.  Opens nothing yet."""
        target, settings, workspace = (
            self.form.target.strip() or self.target,
            self._settings_at_hand(),
            self.bridge.workspace,
        )

        @contextlib.contextmanager
        def opening() -> Iterator[tuple[TargetSession, Settings]]:
            if not target:
                raise engine.UsageError("no target is named", next_step="name one on the start screen")
            with engine.open_session(workspace, target, settings) as session:
                yield session, settings

        return opening

    @property
    def serving_schema(self) -> str:
        """The schema that dashboards read."""
        return self._settings_at_hand().serving_schema

    @property
    def drill_schema(self) -> str:
        """What a drill serves and drops again."""
        return self._settings_at_hand().drill_schema

    def ask_versions(self, then: Callable[[Job], None]) -> None:
        """Read the registry of the target, beside the screens."""
        opening = self.session_opener()

        def ask() -> object:
            with opening() as (session, settings):
                return engine.list_versions(session, settings.serving_schema)

        self.bridge.start_job("reading the registry", ask, then)

    def find_late_writes(self, then: Callable[[Job], None]) -> None:
        """What was written to the live version since it went live, exported into the workspace."""
        opening, name = self.session_opener(), "looking for late writes"

        def work() -> object:
            with opening() as (session, settings):
                return engine.late_writes(self.bridge.workspace, session, settings, self.bridge.job_reporter(name))

        self.bridge.start_job(name, work, then)

    def roll_back(self, wanted: str | None, late: LateWrites, then: Callable[[Job], None]) -> None:
        """Make an earlier version live, beside the screens."""
        opening = self.session_opener()
        self.bridge.release_target()

        def work() -> object:
            with opening() as (session, settings):
                return engine.rollback(session, settings, self.bridge.job_reporter("rolling back"), wanted, late=late)

        self.bridge.start_job("rolling back", work, then, only_looks=False)

    def why_no_rollback(self) -> str | None:
        """Why not now, or None."""
        if self.bridge.read_only:
            return "this session is read-only"
        if self.bridge.dry_run:
            return "this is a dry run"
        return "a stage is at work" if self.bridge.is_running else None

    def _settings_at_hand(self) -> Settings:
        runner = self.bridge.runner
        if runner is not None:
            return runner.deployment.plan_settings
        try:
            return self.settings_of(Path(self.form.plan).expanduser() if self.form.plan.strip() else None)
        except SdetlError:
            return self.settings_of(None)

    # keys

    def action_go(self, place: str) -> None:
        """A letter for a place."""
        self.go(Place(place))

    def action_home(self) -> None:
        """Where it works, or what comes next."""
        self.go(home(self.bridge.situation()))

    def action_run_on(self) -> None:
        """G: on until something needs the operator."""
        now = self.bridge.situation()
        until, why_not = run_on_until(now)
        if until is None:
            self._say(f"Not now: {why_not}")
            return
        stages = list(Stage)
        first = now.next_stage
        assert first is not None
        coming = stages[stages.index(first) : stages.index(until) + 1]
        lines = [
            line("Runs ", Span(", ".join(coming), Tone.STRONG), "."),
            line("It stops where a gate needs you, and always before the cutover."),
            line("Readers go on reading the live version; X stops at the next safe point."),
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                self.go(Place(first.value))
                self._run(until)

        self.push_screen(Confirm("Go on until something needs you", lines, accept="Go on", key="y"), answered)

    def action_stop(self) -> None:
        """X: stop at the next safe point."""
        if not self.bridge.can_stop:
            self._say("Nothing is at work that could be stopped")
            return
        lines = [
            line("The stage stops at its next safe point; what it has half made is taken away."),
            line("Finished stages stay finished; the run can be taken up at any time."),
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                self.bridge.stop()

        self.push_screen(Confirm("Stop the work", lines, accept="Stop", key="s"), answered)

    def action_log(self) -> None:
        """L: the log of what the engine did."""
        self.log_open = not self.log_open
        screen = self.place_screen
        if screen is not None:
            screen.toggle_log(is_open=self.log_open)

    def action_help(self) -> None:
        """F1: this place, and the keys."""
        here = self._history[-1]
        if self._help is None:
            self._help = Help(here, self.glyphs)
            self.install_screen(self._help, "help")
        if self._help not in self.screen_stack:
            self._help.tell(here)
            self.push_screen(self._help)

    def action_export(self) -> None:
        """E: what this screen says, as a text file in the run's folder."""
        screen, runner = self.place_screen, self.bridge.runner
        if screen is None or runner is None:
            self._say("There is nothing to write: no run yet")
            return
        try:
            path = export(runner.deployment.folder.path, str(screen.place), screen.blocks())
        except OSError as error:
            self._say(f"It could not be written: {error.strerror}")
        else:
            self._say(f"written to {path}")

    def action_explain_interrupt(self) -> None:
        """Ctrl-C never destroys anything."""
        self._say("Ctrl-C does nothing here: X stops the work, F10 leaves")

    def action_leave(self) -> None:
        """F10: leave; while work runs, ask."""
        if not self.bridge.is_busy:
            self._end(exit_code(self.bridge.situation()))
            return
        if isinstance(self.screen, Choose):
            return
        ways = [("stay", "Keep running, stay here"), ("stop", "Stop at the next safe point, then leave")]
        lines = [line("Work is under way. Leaving stops it at a safe point; the run can be taken up later.")]

        def chosen(way: str | None) -> None:
            if way == "stop":
                self._ending = ExitCode(exit_code(self.bridge.situation()) or ExitCode.CANCELLED)
                self.bridge.stop()
                self._say("stopping at the next safe point, then leaving")

        self.push_screen(Choose("Leave while work is under way?", lines, ways), chosen)

    async def action_quit(self) -> None:
        """Whatever way textual offers to quit leads through the question."""
        self.action_leave()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Ctrl-P: places by name.  Nothing that changes anything."""
        for place in Place:
            yield SystemCommand(f"Go to {place}", "", lambda place=place: self.go(place))
        yield SystemCommand("Help", "this place, and the keys", self.action_help)
        yield SystemCommand("Log", "open or close it", self.action_log)
        for name, theme in THEMES.items():
            yield SystemCommand(f"Theme {name}", "", lambda theme=theme: setattr(self, "theme", theme))
        yield SystemCommand("Quit", "asks while work runs", self.action_leave)

    # the end

    def _end_by_signal(self, code: ExitCode) -> None:
        """SIGTERM, SIGHUP: stop at a safe point, then end with the code that says so."""
        self._ending = code
        if self.bridge.is_running:
            self.bridge.stop(code)
        else:
            self._end(int(code))

    def _handle_exception(self, error: Exception) -> None:
        """A defect in the screens: the traceback goes to a file, one line to the person; the engine is stopped safely.

        Textual has no public place for this, and its own way prints a traceback over the terminal.
        """
        if self._has_left and isinstance(error, NoMatches):
            return  # a screen that was just being put up stays empty
        if self.defect is None:
            self.defect = error
            self.bridge.stop()
            self._end(int(ExitCode.DEFECT))

    def _end(self, code: int) -> None:
        self._has_left = True
        self.last_words = self._last_words()
        self.exit(code, return_code=code)

    def _last_words(self) -> tuple[str, ...]:
        """What stands on the terminal after the screen has gone."""
        runner = self.bridge.runner
        if runner is None:
            return ()
        now = self.bridge.situation()
        run = runner.deployment
        if now.is_live:
            report = f"report: {run.folder.report_html}" if run.folder.report_html.exists() else ""
            words = [f"run {run.run_id}: {run.version} went live in {run.settings.serving_schema}", report]
        else:
            stage = now.next_stage
            where = shlex.join(["--workspace", str(run.workspace.root)])
            at = f" at {stage}" if stage is not None else ""
            words = [
                f"run {run.run_id} is left{at}; nothing has changed for readers",
                f"go on: sdetl {where}, or sdetl run --resume {run.run_id} {where}",
            ]
        error = now.outcome.error if now.outcome is not None else None
        if error is not None:
            words.insert(0, error.message)
        return tuple(written(line(text)) for text in words if text)
