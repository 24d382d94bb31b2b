"""Makes the README's picture from a real run: ``python screenshots/make.py [--rows 260000]``.

The demo database goes through the whole checklist into the embedded server, in a workspace that is removed again;
what the operator sees is recorded as SVG.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

from sdetl_engine import Stage, Workspace, load_settings, start_run
from sdetl_engine.demo import DEFAULT_ROWS, demo_dashboards, demo_source
from sdetl_tui.narration import Narrator

FOLDER = Path(__file__).parent


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="sdetl-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        space = Workspace(Path(folder) / "w").prepare()
        settings = load_settings(extra={"dashboards.directory": str(demo_dashboards())})
        source = demo_source(space.root / "demo", rows=rows)
        runner = start_run(space, source, "embedded", settings)
        console = Console(record=True, width=128, force_terminal=True, markup=False, highlight=False, emoji=False)
        console.print("$ sdetl demo --headless", style="bold")
        with runner.deployment as deployment:
            deployment.agreed = True
            narrator = Narrator(console, live=False)
            outcome = narrator.follow(runner, Stage.REPORT)
        console.print(f"{outcome.kind}: {deployment.version} is live in schema servicedesk")
    console.save_svg(str(FOLDER / "demo.svg"), title="sdetl demo --headless")


if __name__ == "__main__":
    main()
