"""The words that the demo database is made of.  All invented."""

from __future__ import annotations

TEAMS = (
    "Cloud - Infrastructure",
    "Cloud - Security",
    "Cloud - L3 Escalation",
    "Service Desk - Tier 1",
    "Service Desk - Tier 2",
    "Networks - Operations",
    "Projects - Delivery",
    "Field - Metro",
)
OPEN_STATES = ("New", "In Progress", "Pending Customer", "Scheduled")
CLOSED_STATES = ("Closed", "Resolved", "Cancelled")
SLAS = ("Standard 24x7", "Business Hours", "Best Effort")
CATEGORIES = ("Incident", "Service Request", "Change", "Alert", "Problem", "Standard Task")
RESOLUTIONS = ("Configuration", "Restart", "Replacement", "Advice", "No fault found", "Patch")
ROOT_CAUSES = (
    "Hardware",
    "Software",
    "Account",
    "Network",
    "User Modifications",
    "Third Party",
    "Capacity",
    "Security",
)
SOURCES = ("Email", "Portal", "Phone", "Monitoring")
PLATFORMS = ("Windows", "Linux", "Azure", "AWS", "Network", "SaaS")
MACHINES = ("srv-print-01", "srv-file-02", "fw-edge-1", "sw-core-2", "vm-app-17", "vm-db-03")
BREACHES = ("Waiting on vendor", "Wrong queue", "Out of hours", "Parts delayed")
ACCOUNTS = tuple(
    f"{a} {b}"
    for a in ("Harbour", "Ridge", "Acacia", "Quarry", "Lantern", "Mallee", "Tern")
    for b in ("Logistics", "Health", "Council", "Legal", "Foods", "Mining")
)
PEOPLE = tuple(
    f"{first} {last}"
    for last in ("Abara", "Brandt", "Castillo", "Dufour", "Eriksen", "Fenwick")
    for first in ("Amara", "Bo", "Chiara", "Dinh", "Elif", "Farid", "Grete", "Hiro", "Ines", "Jonas", "Katya", "Leif")
)
VERBS = (
    "Cannot open",
    "Slow",
    "Reset",
    "Install",
    "Replace",
    "Investigate",
    "Error in",
    "Request for",
    "No access to",
    "Renew",
)
THINGS = (
    "mailbox",
    "printer",
    "VPN",
    "laptop",
    "licence",
    "shared drive",
    "certificate",
    "backup job",
    "Teams room",
    "firewall rule",
    "password",
    "database",
)
PLACES = (
    "at head office",
    "at site 4",
    "for new starter",
    "since this morning",
    "after update",
    "for the audit",
    "on floor 2",
    "at home",
)
DESCRIPTIONS = (
    "User called, cannot work.\nPlease ring back before noon.",
    "Raised by monitoring; threshold passed three times.",
    "As discussed with the team lead.",
    "See attached screenshot.",
    "Happens every day at about 9:15, goes away by itself.",
    "",
)
SOLUTIONS = (
    "Restarted the service.",
    "Replaced the cable.",
    "Account unlocked.",
    "Applied the update and tested with the user.",
    "Explained to the user.",
)
COMMENTS = (
    "Rang the user, no answer, left a message.",
    "Waiting for the vendor's reply.",
    "Fixed; please confirm that it works for you.",
    "Moved to the right queue.",
    "Thanks for your patience. The part arrives on Tuesday.",
    "Done 👍",
)
AUTOMATIC = (
    "Ticket assigned by rule 14.",
    "SLA clock started.",
    "Status changed to In Progress.",
    "Reminder sent.",
)
INTENTS = ("status update", "question to the customer", "handover", "resolution", "apology")
HOSTILE = (
    "[/x]",
    "[@click=app.exit]x[/]",
    "[bold]not bold[/bold",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "bell\x07and\x0bmore",
    "quotes ' and \" and `",
    "'); DROP TABLE tickets; --",
    "🔥🧯 urgent",
    "שלום עולם",
    "\u202egnp.exe\u202c",
    "zero\u200bwidth",
    "100 % {done} $__timeFilter",
    "tab\tand\nnew line",
)
QUARTERS = ("00", "15", "30", "45")


def user_name(name: str) -> str:
    """The account of a person: ``Bo Abara`` is ``bo.abara``."""
    return name.lower().replace(" ", ".")
