"""Settings come from defaults, plan, environment and --set, in that order, and say which key is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdetl_engine.decisions import effective
from sdetl_engine.errors import UsageError
from sdetl_engine.findings import Choice, Decision
from sdetl_engine.setting_lines import explained_settings
from sdetl_engine.settings import PlanDecision, dump_plan, load_settings, setting_keys


def plan(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_contract_names_every_threshold_and_default() -> None:
    settings = load_settings()
    assert settings.serving_schema == "servicedesk"
    assert settings.profile.sample_rows == 5000
    assert settings.profile.type_confidence == 0.95
    assert settings.gates.max_mismatched_columns == 0.10
    assert settings.gates.max_corrupt_dates == 0.20
    assert settings.gates.halt_score == 50
    assert settings.gates.min_score == 80
    assert settings.canary.fraction == 0.10
    assert settings.load.batch_rows == 10_000
    assert settings.health.min_free_bytes == 1024**3
    assert (settings.health.warn_memory, settings.health.max_memory) == (0.80, 0.90)
    assert settings.backup.retention_days == 30
    assert settings.dashboards.slow_seconds == 5
    assert settings.clean.empty_to_null == ()
    weights = settings.score.weights
    assert (weights.completeness, weights.validity, weights.consistency, weights.uniqueness, weights.integrity) == (
        40,
        30,
        20,
        5,
        5,
    )


def test_later_layers_win(tmp_path: Path) -> None:
    path = plan(tmp_path, "[gates]\nmin_score = 60\nhalt_score = 40\n")
    environ = {"SDETL_GATES__MIN_SCORE": "70", "SDETL_WORKSPACE": "/elsewhere", "HOME": "/"}
    assert load_settings(plan=path, environ=environ).gates.min_score == 70
    settings = load_settings(plan=path, environ=environ, assignments=["gates.min_score=75"])
    assert (settings.gates.min_score, settings.gates.halt_score) == (75, 40)


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("gates.min_scor=80", "gates.min_score"),
        ("gates.min_score=101", "gates.min_score"),
        ("gates.min_score=NaN", "gates.min_score"),
        ("gates.min_score=10%", "gates.min_score"),
        ("backup.retention_days=0", "backup.retention_days"),
        ("load.types.tickets.id=bigint2", "unknown type"),
        ("serving_schema=pg_mine", "serving_schema"),
        ("serving_schema=sdetl", "registry"),
        ("serving_schema=information_schema", "PostgreSQL's own"),
        ("canary.schema=servicedesk", "canary.schema"),
        ("serving_schema=servicedesk_canary", "canary.schema"),
        ("canary.schema=sdetl", "registry"),
        ('clean.null_markers=["incidents.opened"]', "TABLE.COLUMN=MARK"),
        ("nonsense", "key=value"),
    ],
)
def test_a_wrong_setting_is_named(assignment: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings(assignments=[assignment])
    assert said in caught.value.message
    assert "Value error" not in caught.value.message
    assert caught.value.exit_code == 2


def test_a_wrong_key_in_the_environment_is_named() -> None:
    with pytest.raises(UsageError, match=r"gates\.min_score"):
        load_settings(environ={"SDETL_GATES__MIN_SCOR": "1"})


def test_tables_of_types_keep_names_with_dots_and_blanks(tmp_path: Path) -> None:
    path = plan(tmp_path, '[load.types]\n"my table.TKT-Created Time" = "timestamp"\n')
    assert load_settings(plan=path).load.types == {"my table.TKT-Created Time": "timestamp"}


def test_a_key_is_understood_as_the_readme_writes_it() -> None:
    settings = load_settings(assignments=['load.types."my table.created"=timestamp', "load.types.t.c=text"])
    assert settings.load.types == {"my table.created": "timestamp", "t.c": "text"}


def test_a_plan_is_enough_to_repeat_the_run(tmp_path: Path) -> None:
    settings = load_settings(assignments=["gates.min_score=70", 'clean.null_markers=["*=?"]'])
    decision = PlanDecision(
        rule="BREAKER-DATES", choice=Choice.MARK_MISSING, reason="vendor writes ?", table="t", column="c", argument="?"
    )
    settings = settings.model_copy(update={"decisions": (decision,)})
    path = plan(tmp_path, dump_plan(settings))
    assert load_settings(plan=path) == settings


def test_a_decision_about_no_rule_is_refused(tmp_path: Path) -> None:
    path = plan(tmp_path, '[[decisions]]\nrule = "BREAKER-DATE"\nchoice = "accept"\nreason = "x"\n')
    with pytest.raises(UsageError, match="BREAKER-DATES"):
        load_settings(plan=path)


def test_command_line_markers_are_added_to_those_of_the_plan(tmp_path: Path) -> None:
    path = plan(tmp_path, '[clean]\nnull_markers = ["a.b=?"]\n')
    settings = load_settings(plan=path, extra={"clean.null_markers": ["*=N/A"]})
    assert settings.clean.null_markers == ("a.b=?", "*=N/A")


@pytest.mark.parametrize(
    ("choice", "argument", "seen"),
    [
        (Choice.MARK_MISSING, "?", lambda s: s.clean.null_markers == ("t.c=?",)),
        (Choice.LOAD_AS_TEXT, None, lambda s: s.load.types == {"t.c": "text"}),
        (Choice.LEAVE_OUT, None, lambda s: s.source.exclude_columns == ("t.c",)),
        (Choice.DAY_FIRST, None, lambda s: s.clean.day_first == ("t.c",)),
        (Choice.ADD_INDEX, "t(c)", lambda s: s.load.indexes == ("t(c)",)),
        (Choice.ACCEPT, None, lambda s: s == load_settings()),
    ],
)
def test_a_decision_does_what_it_says(choice: Choice, argument: str | None, seen: object) -> None:
    decision = Decision("DATE-CORRUPT", choice, "because", "t", "c", argument)
    assert callable(seen)
    assert seen(effective(load_settings(), [decision]))


def test_every_key_can_be_listed() -> None:
    assert {"serving_schema", "gates.min_score", "validate.exact_distinct_rows", "canary.schema"} <= set(setting_keys())


def test_a_value_that_is_wrong_is_told_with_where_it_was_said(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("[gates]\nmin_score = 101\n")
    with pytest.raises(UsageError, match=r"plan .*/plan\.toml: gates\.min_score: Input should be"):
        load_settings(plan=plan)
    with pytest.raises(UsageError, match=r"environment variable SDETL_GATES__MIN_SCORE: gates\.min_score"):
        load_settings(plan=plan, environ={"SDETL_GATES__MIN_SCORE": "many"})
    with pytest.raises(UsageError, match=r"--set gates\.min_score=-1: gates\.min_score"):
        load_settings(plan=plan, assignments=["gates.min_score=-1"])
    with pytest.raises(UsageError, match=r"--set cutover\.strategy=role: cutover: strategy role needs roles"):
        load_settings(assignments=["cutover.strategy=role"])
    with pytest.raises(UsageError, match=r"--set load\.types\.t\.c=no-such-type: load: "):
        load_settings(assignments=["load.types.t.c=no-such-type"])
    with pytest.raises(UsageError, match=r"--null-marker: clean\.null_markers"):
        load_settings(extra={"clean.null_markers": ["?"]})


def test_every_setting_is_explained_with_value_and_origin(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[clean]\nnull_markers = ["*=?"]\n[gates]\nmin_score = 70\n[load.types]\n"t.c" = "text"\n')
    lines = explained_settings(
        plan=plan,
        environ={"SDETL_GATES__MIN_SCORE": "75", "SDETL_WORKSPACE": "/w"},
        assignments=["canary.schema=other", "load.types.t.d=text"],
        extra={"clean.null_markers": ["*=-"]},
    )
    found = {one.key: (one.value, one.origin) for one in lines}
    assert tuple(found) == setting_keys()
    assert found["gates.min_score"] == (75.0, "environment variable SDETL_GATES__MIN_SCORE")
    assert found["gates.halt_score"] == (50.0, "default")
    assert found["canary.schema"] == ("other", "--set canary.schema=other")
    assert found["clean.null_markers"] == (["*=?", "*=-"], f"plan {plan} and --null-marker")
    assert found["load.types"] == ({"t.c": "text", "t.d": "text"}, "--set load.types.t.d=text")
    assert [one.key for one in lines if not one.meaning] == []
