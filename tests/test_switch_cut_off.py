"""A run that was killed in its switch: the next start says what had become of it, and goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from sdetl_engine import OutcomeKind, Stage, Workspace, resume_run
from sdetl_engine.postgres import switch
from tests.migrating import TICKETS, finish, migrate, rows_of

MakeSource = Callable[[str], Path]


def cut_off(folder: Path, run_id: str, target: str, *, committed: bool) -> None:
    """Go on with the run in this process, which is killed right before its COMMIT, or right after."""
    commit = switch._Switch._commit

    def killed(self: switch._Switch, xid: str) -> None:
        if committed:
            commit(self, xid)
        os.kill(os.getpid(), signal.SIGKILL)

    switch._Switch._commit = killed  # type: ignore[method-assign]
    finish(resume_run(Workspace(folder), run_id, target=target))


@pytest.mark.parametrize(
    ("committed", "event", "said"),
    [
        (False, "SwitchNotMade", "was not committed: nothing had changed for readers"),
        (True, "SwitchFound", "the switch was committed before this run was cut off"),
    ],
)
def test_the_next_start_says_what_became_of_the_switch(
    sqlite_file: MakeSource, database: str, tmp_path: Path, committed: bool, event: str, said: str
) -> None:
    first = migrate(sqlite_file(TICKETS), database, tmp_path / "w", skip_canary=True)
    assert first.outcome.kind is OutcomeKind.LIVE
    begun = migrate(tmp_path / "source.db", database, tmp_path / "w", until=Stage.VALIDATE, skip_canary=True)
    run_id = begun.runner.deployment.run_id
    words, options = (tmp_path / "w", run_id, database), {"committed": committed}
    process = multiprocessing.get_context("fork").Process(target=cut_off, args=words, kwargs=options)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL

    # What is live already needs nobody's agreement any more.
    ended = finish(resume_run(Workspace(tmp_path / "w"), run_id, target=database), agreed=not committed)
    assert ended.outcome.kind is OutcomeKind.LIVE, ended.document.get("error")
    assert said in next(e.message for e in ended.runner.reporter.events if e.name == event)
    assert rows_of(database, "comments") == 533
