"""The process that a drill kills: it goes on with a run until rows of its load are in the server, and waits there.

The drill writes one JSON document to its standard input, waits for the line ``loading`` on its standard output, and
sends SIGKILL.  Nothing secret is in its arguments or its environment.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from sdetl_engine.checklist import Stage
from sdetl_engine.drilling import VICTIM_IS_LOADING
from sdetl_engine.drilling.relay import Relay
from sdetl_engine.drilling.session import WatchedSession
from sdetl_engine.engine import resume_run
from sdetl_engine.events import SilentReporter
from sdetl_engine.postgres.connect import Target
from sdetl_engine.postgres.session import TargetSession
from sdetl_engine.settings import load_settings
from sdetl_engine.workspace import Workspace


def main() -> None:
    """Run up to the middle of the load, then wait to be killed; leave when nobody does."""
    job = json.loads(sys.stdin.readline())
    target = Target(**{**job["target"], "warnings": tuple(job["target"]["warnings"])})
    session = WatchedSession(TargetSession(target, Workspace(Path(job["server_workspace"])), load_settings()))
    runner = resume_run(Workspace(Path(job["workspace"])), job["run_id"], session=session)

    def wait_in_the_load(stage: Stage | None, fact: str) -> None:
        if stage is Stage.MIGRATE and fact == "TableLoaded":
            print(VICTIM_IS_LOADING, flush=True)  # noqa: T201 - the drill reads this
            sys.stdin.read()
            os._exit(1)

    runner.reporter = Relay(runner.deployment, SilentReporter(), wait_in_the_load)
    with runner.deployment as run:
        run.agreed = True
        runner.run(Stage.MIGRATE)


if __name__ == "__main__":
    main()
