"""The state machine: what Enter does at each place, why not, what comes next, how far G goes, and the exit code."""

from __future__ import annotations

import dataclasses

import pytest

from sdetl_engine import (
    Cancelled,
    Choice,
    Decision,
    ExitCode,
    Finding,
    GateStopped,
    Outcome,
    OutcomeKind,
    Severity,
    Stage,
    StageRecord,
    Status,
)
from sdetl_tui.views.states import state_of
from sdetl_tui.wizard import (
    EFFECT,
    STAGE_OF,
    Deed,
    Guard,
    Place,
    Situation,
    exit_code,
    home,
    next_line,
    primary,
    run_on_until,
    stage_after,
    unreachable,
)

HALT = Finding("BREAKER-DATES", Severity.HALT, "a third are no dates", "declare the mark", choices=(Choice.LEAVE_OUT,))
REVIEW = Finding("DUPLICATE-ROWS", Severity.REVIEW, "two rows are equal", "agree")
AGREED = dataclasses.replace(REVIEW, decision=Decision("DUPLICATE-ROWS", Choice.ACCEPT, "known"))


def standing(at: Stage | None, status: Status = Status.PENDING, *findings: Finding) -> tuple[StageRecord, ...]:
    """Everything before ``at`` passed, ``at`` in that state, the rest to come; all passed for None."""
    stages = list(Stage)
    here = stages.index(at) if at is not None else len(stages)
    return tuple(
        StageRecord(s, Status.PASSED if i < here else Status.PENDING)
        if s is not at
        else StageRecord(s, status, findings=findings)
        for i, s in enumerate(stages)
    )


@pytest.mark.parametrize("stage", list(Stage))
def test_the_next_stage_can_be_started_and_says_what_it_does(stage: Stage) -> None:
    action = primary(Place(stage.value), Situation(standing(stage)))
    assert (action.deed, action.stage, action.why_not) == (Deed.RUN, stage, None)
    assert action.label not in ("", "OK")
    assert action.guard is (Guard.CONFIRM if stage in EFFECT else Guard.BUTTON)


def test_the_stages_that_write_much_are_confirmed() -> None:
    assert set(EFFECT) == {Stage.CLEAN, Stage.MIGRATE}


@pytest.mark.parametrize("stage", list(Stage)[1:])
def test_a_stage_out_of_turn_leads_to_the_one_that_comes_first(stage: Stage) -> None:
    action = primary(Place(stage.value), Situation(standing(Stage.PREFLIGHT)))
    assert (action.deed, action.place) == (Deed.GO, Place.PREFLIGHT)
    assert action.why_not == "preflight comes first"


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("status", [Status.PASSED, Status.SKIPPED])
def test_a_finished_stage_leads_on(stage: Stage, status: Status) -> None:
    after = stage_after(stage)
    records = tuple(dataclasses.replace(r, status=status) if r.stage is stage else r for r in standing(after))
    action = primary(Place(stage.value), Situation(records))
    assert (action.deed, action.place) == (Deed.GO, Place(after.value) if after else Place.SUMMARY)


@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.CUTOVER])
@pytest.mark.parametrize(
    ("status", "findings", "label"),
    [
        (Status.HALTED, (HALT, REVIEW), "Decide: 1 that halt"),
        (Status.REVIEW, (REVIEW, REVIEW, AGREED), "Decide: 2 to review"),
    ],
)
def test_a_gate_that_waits_opens_the_findings(
    stage: Stage, status: Status, findings: tuple[Finding, ...], label: str
) -> None:
    now = Situation(standing(stage, status, *findings))
    action = primary(Place(stage.value), now)
    assert (action.deed, action.place, action.label) == (Deed.DECIDE, Place.FINDINGS, label)
    assert "waits for your decision" in next_line(Place(stage.value), now)


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_what_failed_can_be_tried_again_and_says_what_to_do(status: Status) -> None:
    error = (
        Cancelled("cancelled by the operator") if status is Status.CANCELLED else GateStopped("no", next_step="mend it")
    )
    now = Situation(
        standing(Stage.MIGRATE, status), outcome=Outcome(OutcomeKind.FAILED, ExitCode.GATE, (), error=error)
    )
    action = primary(Place.MIGRATE, now)
    assert (action.deed, action.label, action.guard) == (Deed.RUN, "Try migrate again", Guard.CONFIRM)
    assert next_line(Place.MIGRATE, now) == error.next_step


def test_a_switch_by_hand_is_verified_with_enter() -> None:
    waits = GateStopped("it waits to be made live by hand", next_step="run the SQL", kind="manual")
    ended = Outcome(OutcomeKind.HALTED, ExitCode.GATE, (), waits)
    now = Situation(standing(Stage.CUTOVER, Status.FAILED), outcome=ended)
    action = primary(Place.CUTOVER, now)
    assert (action.deed, action.label, action.why_not) == (Deed.RUN, "Verify what was done by hand", None)
    assert next_line(Place.CUTOVER, now) == "run the SQL"


@pytest.mark.parametrize(
    ("kind", "short", "words"),
    [
        ("manual", "waits", "waits for its SQL to be run by hand"),
        ("manual-half", "half", "made by hand in part: the rest is waited for"),
        ("gate", "FAILED", "failed"),
    ],
)
def test_a_switch_by_hand_waits_and_has_not_failed(kind: str, short: str, words: str) -> None:
    ended = Outcome(OutcomeKind.HALTED, ExitCode.GATE, (), GateStopped("not yet", next_step="run the SQL", kind=kind))
    state = state_of(Stage.CUTOVER, Situation(standing(Stage.CUTOVER, Status.FAILED), outcome=ended))
    assert (state.short, state.words) == (short, words)


def test_what_a_decision_changed_says_that_it_runs_again() -> None:
    now = Situation(standing(Stage.MIGRATE), stale_from=Stage.PROFILE)
    shorts = {stage: state_of(stage, now).short for stage in (Stage.BACKUP, Stage.PROFILE, Stage.SCORE, Stage.VALIDATE)}
    assert shorts == {Stage.BACKUP: "passed", Stage.PROFILE: "again", Stage.SCORE: "again", Stage.VALIDATE: ""}


def test_looking_at_the_cutover_does_not_sound_like_the_switch() -> None:
    assert next_line(Place.CUTOVER, Situation(standing(Stage.CUTOVER))).endswith("nothing switches")


def test_the_switch_is_typed_once_only_agreement_is_missing() -> None:
    waiting = Situation(standing(Stage.CUTOVER, Status.REVIEW, REVIEW))
    action = primary(Place.CUTOVER, waiting)
    assert (action.deed, action.guard, action.stage) == (Deed.SWITCH, Guard.TYPED, Stage.CUTOVER)
    halted = primary(Place.CUTOVER, Situation(standing(Stage.CUTOVER, Status.HALTED, HALT)))
    assert halted.deed is Deed.DECIDE


def test_while_a_stage_works_enter_does_nothing_there_and_leads_there_from_elsewhere() -> None:
    now = Situation(standing(Stage.MIGRATE, Status.RUNNING), running=True)
    here, elsewhere = primary(Place.MIGRATE, now), primary(Place.BACKUP, now)
    assert (here.deed, here.why_not) == (Deed.NOTHING, "migrate is at work: X stops it at the next safe point")
    assert (elsewhere.deed, elsewhere.place) == (Deed.GO, Place.MIGRATE)
    stopping = primary(Place.MIGRATE, dataclasses.replace(now, stopping=True))
    assert stopping.label == "Stopping ..."
    assert "safe point" in (stopping.why_not or "")


@pytest.mark.parametrize("place", [Place.START, Place.ROLLBACK, Place.DRILL])
def test_nothing_else_begins_while_a_stage_works(place: Place) -> None:
    now = Situation(standing(Stage.MIGRATE, Status.RUNNING), running=True)
    assert "at work" in (primary(place, now).why_not or "")


def test_what_a_decision_made_stale_runs_again_first() -> None:
    now = Situation(standing(Stage.MIGRATE), stale_from=Stage.PROFILE)
    again, later = primary(Place.PROFILE, now), primary(Place.SCORE, now)
    assert (again.deed, again.stage, again.label) == (Deed.RUN, Stage.PROFILE, "Run profile again")
    assert (later.deed, later.place) == (Deed.GO, Place.PROFILE)
    assert home(now) is Place.PROFILE
    assert now.next_stage is Stage.PROFILE


@pytest.mark.parametrize("place", list(Place))
@pytest.mark.parametrize(
    "now",
    [
        Situation(),
        Situation(standing(Stage.PREFLIGHT)),
        Situation(standing(Stage.PROFILE, Status.HALTED, HALT)),
        Situation(standing(Stage.MIGRATE, Status.RUNNING), running=True),
        Situation(standing(Stage.MIGRATE, Status.RUNNING), running=True, stopping=True),
        Situation(standing(Stage.CANARY), stale_from=Stage.PROFILE),
        Situation(standing(Stage.CUTOVER)),
        Situation(standing(Stage.CUTOVER, Status.REVIEW, REVIEW)),
        Situation(standing(None)),
        Situation(standing(Stage.CLEAN), read_only=True),
        Situation(standing(Stage.CANARY), dry_run=True),
    ],
    ids=[
        "no run",
        "new",
        "halted",
        "at work",
        "stopping",
        "stale",
        "at the cutover",
        "ready",
        "done",
        "read-only",
        "dry run",
    ],
)
def test_every_place_says_in_words_what_comes_next_or_why_not(place: Place, now: Situation) -> None:
    action, words = primary(place, now), next_line(place, now)
    assert action.label
    assert words
    assert (action.why_not or "") in words
    assert len(f"   {action.label}   {words}") <= 80
    if action.deed is Deed.GO:
        assert action.place is not None
        assert unreachable(action.place, now) is None
    if action.deed is Deed.NOTHING:
        assert action.why_not


@pytest.mark.parametrize("stage", list(Stage))
def test_reading_only_starts_nothing(stage: Stage) -> None:
    now = Situation(standing(stage), read_only=True)
    assert "--read-only" in (primary(Place(stage.value), now).why_not or "")
    assert run_on_until(now) == (None, "this session is read-only (--read-only)")


@pytest.mark.parametrize("place", [Place.START, Place.ROLLBACK, Place.DRILL])
def test_reading_only_begins_and_reverts_nothing(place: Place) -> None:
    assert "--read-only" in (primary(place, Situation(read_only=True)).why_not or "")


@pytest.mark.parametrize("stage", list(Stage))
def test_a_dry_run_stays_away_from_the_target(stage: Stage) -> None:
    action = primary(Place(stage.value), Situation(standing(stage), dry_run=True))
    touches = stage in (Stage.CANARY, Stage.MIGRATE, Stage.VALIDATE, Stage.CUTOVER, Stage.REPORT)
    assert ("--dry-run" in (action.why_not or "")) is touches


def test_a_dry_run_can_begin() -> None:
    assert primary(Place.START, Situation(dry_run=True)).why_not is None


def test_the_way_back_is_open_from_everywhere_after_the_switch() -> None:
    now = Situation(standing(Stage.REPORT))
    assert now.is_live
    assert unreachable(Place.ROLLBACK, now) is None
    assert primary(Place.ROLLBACK, now).why_not is None


def test_places_without_a_run() -> None:
    open_ones = {place for place in Place if unreachable(place, Situation()) is None}
    assert open_ones == {Place.START, Place.VERSIONS, Place.ROLLBACK, Place.DRILL}
    before_profile = Situation(standing(Stage.BACKUP))
    assert {p for p in Place if unreachable(p, before_profile) is not None} == {Place.TYPES}
    assert unreachable(Place.TYPES, Situation(standing(Stage.CLEAN))) is None


def test_where_the_wizard_opens() -> None:
    assert home(Situation()) is Place.START
    assert home(Situation(standing(Stage.SCORE))) is Place.SCORE
    assert home(Situation(standing(Stage.SCORE, Status.RUNNING), running=True)) is Place.SCORE
    assert home(Situation(standing(None))) is Place.SUMMARY


@pytest.mark.parametrize(
    ("now", "until", "why_not"),
    [
        (Situation(), None, "no run"),
        (Situation(standing(Stage.PREFLIGHT)), Stage.VALIDATE, None),
        (Situation(standing(Stage.MIGRATE, Status.FAILED)), Stage.VALIDATE, None),
        (Situation(standing(Stage.PREFLIGHT), dry_run=True), Stage.SCORE, None),
        (Situation(standing(Stage.PROFILE, Status.HALTED, HALT)), None, "waits for your decision"),
        (Situation(standing(Stage.CLEAN), stale_from=Stage.PROFILE), Stage.VALIDATE, None),
        (Situation(standing(Stage.CUTOVER)), None, "the cutover is yours"),
        (Situation(standing(Stage.CUTOVER, Status.REVIEW, REVIEW)), None, "decision"),
        (Situation(standing(Stage.REPORT)), Stage.REPORT, None),
        (Situation(standing(None)), None, "finished"),
        (Situation(standing(Stage.MIGRATE, Status.RUNNING), running=True), None, "at work"),
    ],
)
def test_how_far_going_on_goes(now: Situation, until: Stage | None, why_not: str | None) -> None:
    found, why = run_on_until(now)
    assert found is until
    assert (why is None) is (why_not is None)
    assert (why_not or "") in (why or "")


@pytest.mark.parametrize(
    "now",
    [Situation(standing(stage), dry_run=True) for stage in (Stage.CANARY, Stage.MIGRATE, Stage.REPORT)],
)
def test_going_on_in_a_dry_run_never_runs_a_stage_that_writes_to_the_target(now: Situation) -> None:
    until, why_not = run_on_until(now)
    assert until is None
    assert "--dry-run" in (why_not or "")


def ended(kind: OutcomeKind, code: ExitCode) -> Outcome:
    return Outcome(kind, code, (), error=GateStopped("stopped", next_step="look"))


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (Situation(), 0),
        (Situation(standing(Stage.PREFLIGHT)), 0),
        (Situation(standing(Stage.CLEAN)), 130),
        (Situation(standing(Stage.REPORT)), 0),
        (Situation(standing(None)), 0),
        (Situation(standing(Stage.CANARY), dry_run=True), 0),
        (Situation(standing(Stage.SCORE), dry_run=True), 130),
        (Situation(standing(Stage.PROFILE, Status.HALTED), outcome=ended(OutcomeKind.HALTED, ExitCode.GATE)), 3),
        (
            Situation(standing(Stage.CANARY, Status.FAILED), outcome=ended(OutcomeKind.FAILED, ExitCode.VALIDATION)),
            4,
        ),
    ],
)
def test_the_exit_code_tells_how_the_run_stands(now: Situation, code: int) -> None:
    assert exit_code(now) == code


def test_every_stage_is_a_place() -> None:
    assert set(STAGE_OF.values()) == set(Stage)


def test_an_agreement_that_stands_is_no_switch_without_the_name() -> None:
    """Made before the run was broken off, or last quarter's in the plan: the name has to be typed all the same."""
    for status in (Status.PENDING, Status.CANCELLED, Status.FAILED):
        now = Situation(standing(Stage.CUTOVER, status))
        assert primary(Place.CUTOVER, now).deed is Deed.RUN
        agreed = dataclasses.replace(now, cutover_agreed=True)
        action = primary(Place.CUTOVER, agreed)
        assert (action.deed, action.guard) == (Deed.SWITCH, Guard.TYPED)
