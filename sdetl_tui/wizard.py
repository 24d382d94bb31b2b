"""Which place comes next, what can be reached, what Enter does there and why not.  A plain state machine: no terminal, no
threads, no engine calls; everything it knows is in the ``Situation`` it is given."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from sdetl_engine import Finding, Outcome, OutcomeKind, Severity, Stage, StageRecord, Status


class Place(enum.StrEnum):
    """Where the operator can be.  The ten stages, and what stands beside them."""

    START = "start"
    PREFLIGHT = "preflight"
    BACKUP = "backup"
    PROFILE = "profile"
    CLEAN = "clean"
    SCORE = "score"
    CANARY = "canary"
    MIGRATE = "migrate"
    VALIDATE = "validate"
    CUTOVER = "cutover"
    REPORT = "report"
    SUMMARY = "summary"
    FINDINGS = "findings"
    TYPES = "types"
    VERSIONS = "versions"
    ROLLBACK = "rollback"
    DRILL = "drill"


STAGE_OF: Mapping[Place, Stage] = {Place(stage.value): stage for stage in Stage}


class Guard(enum.IntEnum):
    """How hard it is to begin something: the graver, the more deliberate."""

    NONE = 0
    BUTTON = 1
    """Enter on a button that names what it does."""
    CONFIRM = 2
    """A dialog that says effect and way back; Cancel is focused, and another key accepts."""
    TYPED = 3
    """The same, and a name has to be typed."""


class Deed(enum.StrEnum):
    """What Enter does."""

    BEGIN = "begin"
    RUN = "run"
    GO = "go"
    DECIDE = "decide"
    SWITCH = "switch"
    ROLL_BACK = "roll-back"
    DRILL = "drill"
    QUIT = "quit"
    NOTHING = "nothing"


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """What can be done here now.  ``why_not`` is None when it can; ``stage`` what would run, ``place`` where it leads."""

    deed: Deed
    label: str
    guard: Guard = Guard.NONE
    why_not: str | None = None
    stage: Stage | None = None
    place: Place | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Situation:
    """All that decides what is possible.  ``records`` has the ten stages in order, empty while there is no run."""

    records: tuple[StageRecord, ...] = ()
    running: bool = False
    stopping: bool = False
    stale_from: Stage | None = None
    outcome: Outcome | None = None
    read_only: bool = False
    dry_run: bool = False
    cutover_agreed: bool = False
    """An agreement to the cutover stands already: made before the run was broken off, or in its plan.  Then the stage
    would switch as soon as it is run, and the name has to be typed before that."""

    @property
    def has_run(self) -> bool:
        """True once a run was begun or taken up."""
        return bool(self.records)

    def record(self, stage: Stage) -> StageRecord:
        """One stage as it stands."""
        return next((r for r in self.records if r.stage is stage), StageRecord(stage))

    @property
    def running_stage(self) -> Stage | None:
        """The stage that works now."""
        return next((r.stage for r in self.records if r.status is Status.RUNNING), None) if self.running else None

    @property
    def next_stage(self) -> Stage | None:
        """The first stage that is not finished, or that has to run again; None when all are."""
        for record in self.records:
            if record.stage is self.stale_from or record.status not in (Status.PASSED, Status.SKIPPED):
                return record.stage
        return None

    @property
    def is_live(self) -> bool:
        """True when this run's version went live."""
        return self.record(Stage.CUTOVER).status is Status.PASSED

    @property
    def waits_for_hand(self) -> bool:
        """True when the SQL of the switch is written, and somebody is to run it, or the rest of it."""
        return self._error_kind in ("manual", "manual-half")

    @property
    def is_half_made(self) -> bool:
        """True when somebody has run a part of that SQL."""
        return self._error_kind == "manual-half"

    def is_stale(self, stage: Stage) -> bool:
        """True for a stage that was run and has to run again, because a decision changed it or one before it."""
        if self.stale_from is None or self.record(stage).status is Status.PENDING:
            return False
        return _comes_at_or_after(stage, self.stale_from)

    @property
    def _error_kind(self) -> str | None:
        return self.outcome.error.kind if self.outcome is not None and self.outcome.error is not None else None

    def open_findings(self, stage: Stage) -> tuple[Finding, ...]:
        """What still asks something of the operator at that stage."""
        return tuple(f for f in self.record(stage).findings if f.is_open)


_WORK = {
    Stage.PREFLIGHT: ("Start pre-flight", Guard.BUTTON),
    Stage.BACKUP: ("Start backup", Guard.BUTTON),
    Stage.PROFILE: ("Start profiling", Guard.BUTTON),
    Stage.CLEAN: ("Clean into a new file", Guard.CONFIRM),
    Stage.SCORE: ("Weigh the quality", Guard.BUTTON),
    Stage.CANARY: ("Start the canary", Guard.BUTTON),
    Stage.MIGRATE: ("Load the candidate", Guard.CONFIRM),
    Stage.VALIDATE: ("Start validation", Guard.BUTTON),
    Stage.CUTOVER: ("Look at the cutover", Guard.BUTTON),
    Stage.REPORT: ("Write the report", Guard.BUTTON),
}
_TOUCH_TARGET = (Stage.CANARY, Stage.MIGRATE, Stage.VALIDATE, Stage.CUTOVER, Stage.REPORT)
EFFECT: Mapping[Stage, tuple[str, str]] = {
    Stage.CLEAN: (
        "Writes a new file in the run's folder; every changed cell goes into the ledger.",
        "The frozen copy and the source stay as they are. To undo it: delete nothing, just clean again.",
    ),
    Stage.MIGRATE: (
        "Loads everything into a new version schema of the target, in one transaction.",
        "Readers go on reading the live version. If it fails or is stopped, nothing is left behind.",
    ),
}
"""What a stage that is confirmed does, and how it is undone."""


def stage_after(stage: Stage) -> Stage | None:
    """The next stage of the checklist."""
    stages = list(Stage)
    place = stages.index(stage) + 1
    return stages[place] if place < len(stages) else None


def home(now: Situation) -> Place:
    """Where to open: what works, else what comes next, else the summary."""
    if not now.has_run:
        return Place.START
    stage = now.running_stage or now.next_stage
    return Place(stage.value) if stage is not None else Place.SUMMARY


def unreachable(place: Place, now: Situation) -> str | None:
    """Why a place cannot be gone to now, or None.  Going somewhere never changes anything."""
    if place in (Place.START, Place.VERSIONS, Place.ROLLBACK, Place.DRILL):
        return None
    if not now.has_run:
        return "there is no run yet: begin or resume one first"
    if place is Place.TYPES and now.record(Stage.PROFILE).status is Status.PENDING:
        return "types are chosen by the profile: run it first"
    return None


def primary(place: Place, now: Situation) -> Action:
    """What Enter does at that place."""
    if place in STAGE_OF:
        return _at_stage(STAGE_OF[place], now)
    if place is Place.START:
        why_not = "a run is at work; X stops it" if now.running else None
        return Action(Deed.BEGIN, "Begin a new run", Guard.BUTTON, why_not or _forbidden(now, Stage.PREFLIGHT))
    if place is Place.ROLLBACK:
        return Action(Deed.ROLL_BACK, "Roll back", Guard.CONFIRM, _busy(now) or _forbidden(now))
    if place is Place.DRILL:
        return Action(Deed.DRILL, "Start the drill", Guard.CONFIRM, _busy(now) or _forbidden(now))
    if place is Place.SUMMARY and now.next_stage is None and now.has_run:
        return Action(Deed.QUIT, "Leave sdetl")
    if not now.has_run:
        return Action(Deed.GO, "Go to the start", place=Place.START)
    where = home(now)
    return Action(Deed.GO, f"Go to {where}", place=where)


def _at_stage(stage: Stage, now: Situation) -> Action:
    record = now.record(stage)
    if not now.has_run:
        return Action(Deed.GO, "Go to the start", place=Place.START, why_not="there is no run yet")
    if now.running:
        return _while_running(stage, now)
    if now.is_stale(stage):
        return _again(stage, now)
    if record.status is Status.PASSED or record.status is Status.SKIPPED:
        after = stage_after(stage)
        place = Place(after.value) if after is not None else Place.SUMMARY
        return Action(Deed.GO, f"Go on to {place}", place=place)
    if now.next_stage is not stage:
        first = now.next_stage
        return Action(
            Deed.GO, f"Go to {first}", place=Place(first.value) if first else None, why_not=f"{first} comes first"
        )
    if record.status in (Status.REVIEW, Status.HALTED):
        return _at_gate(stage, now)
    if stage is Stage.CUTOVER and now.cutover_agreed and not now.waits_for_hand:
        return Action(Deed.SWITCH, "Cut over", Guard.TYPED, _forbidden(now, stage), stage=stage)
    label, guard = _WORK[stage]
    if record.status in (Status.FAILED, Status.CANCELLED):
        label = "Verify what was done by hand" if now.waits_for_hand else f"Try {stage} again"
    return Action(Deed.RUN, label, guard, _forbidden(now, stage), stage=stage)


def _while_running(stage: Stage, now: Situation) -> Action:
    working = now.running_stage
    if now.stopping:
        return Action(
            Deed.NOTHING, "Stopping ...", why_not="it stops at the next safe point; nothing is lost by waiting"
        )
    if working is stage or working is None:
        return Action(Deed.NOTHING, "Working ...", why_not=f"{stage} is at work: X stops it at the next safe point")
    return Action(Deed.GO, f"Go to {working}", place=Place(working.value))


def _again(stage: Stage, now: Situation) -> Action:
    assert now.stale_from is not None
    if stage is now.stale_from:
        label = f"Run {stage} again"
        return Action(Deed.RUN, label, Guard.BUTTON, _forbidden(now, stage), stage=stage)
    return Action(
        Deed.GO,
        f"Go to {now.stale_from}",
        place=Place(now.stale_from.value),
        why_not=f"your decision changes {now.stale_from}: it runs again first",
    )


def _at_gate(stage: Stage, now: Situation) -> Action:
    open_ones = now.open_findings(stage)
    if stage is Stage.CUTOVER and not any(f.severity is Severity.HALT for f in open_ones):
        return Action(Deed.SWITCH, "Cut over", Guard.TYPED, _forbidden(now, stage), stage=stage)
    halts = sum(f.severity is Severity.HALT for f in open_ones)
    what = f"{halts} that halt" if halts else f"{len(open_ones)} to review"
    return Action(Deed.DECIDE, f"Decide: {what}", place=Place.FINDINGS, stage=stage)


def _comes_at_or_after(stage: Stage, other: Stage) -> bool:
    stages = list(Stage)
    return stages.index(stage) >= stages.index(other)


def _busy(now: Situation) -> str | None:
    return "a stage is at work: wait, or stop it with X" if now.running else None


def _forbidden(now: Situation, stage: Stage | None = None) -> str | None:
    if now.read_only:
        return "this session is read-only (--read-only)"
    if now.dry_run and (stage in _TOUCH_TARGET or stage is None):
        return "--dry-run writes nothing to the target"
    return None


def next_line(place: Place, now: Situation) -> str:
    """One line that says what comes next, or why not."""
    action = primary(place, now)
    if now.outcome is not None and now.outcome.error is not None and not now.running:
        stage = STAGE_OF.get(place)
        if stage is not None and now.record(stage).status in (Status.FAILED, Status.CANCELLED):
            return f"{now.outcome.error.next_step}"
    if action.why_not is None and action.deed is Deed.RUN and action.stage is Stage.CUTOVER:
        return "Enter looks whether it can be done; nothing switches"
    if action.why_not is not None:
        return f"Not now: {action.why_not}" if action.deed is not Deed.NOTHING else action.why_not
    return _NEXT_WORDS.get(action.deed, "").format(label=action.label, place=action.place or "")


_NEXT_WORDS = {
    Deed.RUN: "Enter starts it; G goes on until something needs you",
    Deed.GO: "Enter goes there",
    Deed.DECIDE: "the gate waits for your decision: Enter shows it",
    Deed.SWITCH: "Enter asks for the name of the serving schema, then switches",
    Deed.ROLL_BACK: "Enter asks once more, then switches back",
    Deed.DRILL: "Enter asks once more, then rehearses in a schema of its own",
    Deed.BEGIN: "fill in source and target, then Enter",
    Deed.QUIT: "all is done and written down",
}


def run_on_until(now: Situation) -> tuple[Stage | None, str | None]:
    """How far "go on until something needs you" goes: never into the cutover.  The last stage, or why not."""
    if not now.has_run:
        return None, "there is no run yet"
    if now.running:
        return None, "a stage is at work; press G once it is done"
    if (why := _forbidden(now, Stage.PREFLIGHT)) is not None:
        return None, why
    first = now.next_stage
    if first is None:
        return None, "every stage is finished"
    if now.open_findings(first) and now.stale_from is None:
        return None, f"{first} waits for your decision"
    if (why := _forbidden(now, first)) is not None:
        return None, why
    if _comes_at_or_after(first, Stage.CUTOVER):
        return (Stage.REPORT, None) if first is Stage.REPORT else (None, "the cutover is yours: it asks for its name")
    return (Stage.SCORE if now.dry_run else Stage.VALIDATE), None


def exit_code(now: Situation) -> int:
    """The process's exit code when the operator leaves now: that of the run, 130 for one left half way."""
    if not now.has_run or now.is_live:
        return 0
    if now.outcome is not None and now.outcome.error is not None:
        return int(now.outcome.exit_code)
    if now.outcome is not None and now.outcome.kind is OutcomeKind.LIVE:
        return 0
    begun = any(r.status is not Status.PENDING for r in now.records)
    finished_dry = now.dry_run and now.record(Stage.SCORE).status is Status.PASSED
    return 130 if begun and not finished_dry else 0


def can_run_again(stage: Stage, status: Status) -> bool:
    """Pre-flight may be looked at again at any time until the switch; the others after they ended badly."""
    ended_badly = status in (Status.FAILED, Status.CANCELLED, Status.REVIEW, Status.HALTED)
    return ended_badly or (stage is Stage.PREFLIGHT and status is Status.PASSED)
