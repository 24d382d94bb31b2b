"""F1: one page for every place, written for somebody who is nervous and in the middle of it."""

from __future__ import annotations

from collections.abc import Mapping

from sdetl_tui.wizard import Place

KEYS: tuple[tuple[str, str], ...] = (
    ("Enter", "the action named on the button at the bottom"),
    ("Tab, arrows", "move; Enter on a row shows it in full"),
    ("PgUp, PgDn", "what does not fit on the screen; in a table its pages"),
    ("Esc", "back to where you were; never stops or undoes anything"),
    (", and .", "the stage before, the next stage"),
    ("G", "go on until something needs you (never into the cutover)"),
    ("F  T", "findings; types"),
    ("V  R  D", "versions; roll back; drill"),
    ("S", "summary: the checklist with its evidence"),
    ("L", "open or close the log"),
    ("X", "stop the work at its next safe point (asks first)"),
    ("E", "write this screen's content to a file"),
    ("F5", "check again, or read again"),
    ("F10, Ctrl-Q", "leave (asks while work runs)"),
    ("Ctrl-P", "go anywhere by name"),
)

PAGES: Mapping[Place, str] = {
    Place.START: (
        "Name the SQLite file and the target. The target is a libpq URL, a key/value string, a service name, or the word "
        "embedded: then sdetl starts a PostgreSQL of its own in the workspace. A plan from last quarter brings its "
        "settings and decisions along.\n\nA run that was left half way stands in the table: Enter on it takes it up where "
        "it stopped. Nothing is done twice, and nothing happens before you press a button."
    ),
    Place.PREFLIGHT: (
        "Looks at everything the run needs before anything is touched: the file (really SQLite, sound, quiet), disk and "
        "memory, the server, its version, your rights there, pg_dump, the age of the last drill.\n\nA failed check names "
        "its fix. Put it right and press F5: all checks are made again. 'Could not check' is never counted as passed."
    ),
    Place.BACKUP: (
        "Takes a frozen copy of the source into the run's folder, reads it back and compares it with the source. "
        "Everything afterwards reads this copy. The schema that dashboards read today is dumped with pg_dump, and the dump "
        "is proved by listing it.\n\nThe MD5 is that of the finished copy as read back from disk: put it on the ticket."
    ),
    Place.PROFILE: (
        "A random sample proposes each column's type, then every single value is asked. The circuit breaker stops the run "
        "when too many columns, or too many dates of one column, cannot be repaired.\n\nWhen it trips: press F, open the "
        "finding, and decide. Most often a mark such as ? stands for 'missing'. Dirt that can be repaired never trips it."
    ),
    Place.CLEAN: (
        "Writes a new file: dates to ISO, empty strings to NULL where a column is not text, declared marks to NULL. Every "
        "changed cell is in the ledger, before and after. Cleaning the result again changes nothing, which is counted."
    ),
    Place.SCORE: (
        "Completeness 40, validity 30, consistency 20, uniqueness 5, integrity 5. Each lost point has a receipt: open the "
        "first one to see what to repair. Under the threshold nothing is loaded."
    ),
    Place.CANARY: (
        "The same code as the full load, on a tenth of the rows, closed over foreign keys, in a schema of its own that is "
        "dropped afterwards whatever happens. If this fails, the full load would have."
    ),
    Place.MIGRATE: (
        "Loads everything into a new schema in one transaction, reads it back and compares the digests. Readers notice "
        "nothing. Stopping it (X) or losing the connection leaves nothing behind."
    ),
    Place.VALIDATE: (
        "Counts, sums and extremes are computed on both sides and compared. Then every query of every dashboard is run "
        "against the candidate under the name the dashboards use, in a transaction that is rolled back."
    ),
    Place.CUTOVER: (
        "First look: live and candidate beside each other. Then type the name of the serving schema. The switch is one "
        "transaction of some milliseconds: readers see the old version or the new one, whole. What is read back must be "
        "what was proved, or it goes back by itself.\n\nThe way back stands on this screen from then on: R, or the command."
    ),
    Place.REPORT: "Writes the document for the change ticket (HTML and JSON) and the line in deployments.log.",
    Place.SUMMARY: (
        "The twelve lines of the deployment checklist with what proves each. 'unknown' means that nobody checked it, and is "
        "no pass. At the end stands what to tell people."
    ),
    Place.FINDINGS: (
        "Enter opens a finding: rows that show it, and the decisions that are open. The dialog says what the decision does "
        "to the gate before you record it. Every decision needs a reason, and stands in journal, plan and report.\n\n"
        "W changes which are shown, O their order, / searches, A agrees to every open review shown (asks for a reason). A "
        "finding that halts cannot be agreed to: its cause has to go."
    ),
    Place.TYPES: (
        "Every column with what it becomes and why. Enter on one lets you name another type and counts at once how many "
        "values would not fit; those would go to the quarantine, counted."
    ),
    Place.VERSIONS: (
        "The registry in the target is the truth about what is live, for everybody. Enter on a version shows it, and rolls "
        "back to it when it has been live."
    ),
    Place.ROLLBACK: (
        "One transaction, as short as the cutover. The version that is live now stays, retired: rolling back again makes it "
        "live. What was written to the live version since it went live stays in it."
    ),
    Place.DRILL: (
        "Rehearses the way back where nobody reads: builds two versions in a schema of its own, switches, breaks "
        "something, rolls back, restores, compares, drops everything. The time it took goes into rollback_tests.log."
    ),
}
