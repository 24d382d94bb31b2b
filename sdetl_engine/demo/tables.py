"""The seven tables of the ServiceDesk database, as its vendor declares them: no keys, dates as TEXT or TIMESTAMP."""

from __future__ import annotations

_TEXT_DATES = frozenset({"TKT-Created Time", "TKT-Modified Time", "TKT-Actual Resolution Date", "TKT-SLA Closure Date"})

_TICKETS = """
TKT-Ticket ID=INTEGER TKT-Parent ID=REAL TKT-Customer Reference=TEXT TKT-Created Time=DATE TKT-Month Created=TEXT TKT-SLA=TEXT
TKT-Account Id=REAL TKT-Account Name=TEXT TKT-Site Classification=TEXT TKT-Site Status=TEXT TKT-Selcom Key=TEXT TKT-Title=TEXT
TKT-Description=TEXT TKT-Severity=TEXT TKT-Status=TEXT TKT-Assigned To Userid=INTEGER TKT-Assigned To User=TEXT TKT-Job#/Ref#=TEXT
TKT-Team=TEXT TKT-Modified Time=DATE TKT-Category=TEXT TKT-Resolution/Change Type=TEXT TKT-Root Cause Category=TEXT
TKT-Created By Userid=INTEGER TKT-Created By User=TEXT TKT-Client Name=TEXT TKT-Ticket Source=TEXT TKT-Related CI Ref#=REAL
TKT-Related CI=TEXT TKT-Actual Response Date=DATE TKT-Actual Resolution Date=DATE TKT-Response Met=TEXT TKT-Resolution Met=TEXT
TKT-SLA Met=TEXT TKT-SLA Exempt=TEXT TKT-Mitigated Reason=TEXT TKT-SLA Clock Status=TEXT TKT-SLA Breach Reason=TEXT
TKT-SLA Breach Comment=TEXT TKT-QA Review Completed=TEXT TKT-Closure Date=DATE TKT-Month Closed=TEXT TKT-Solution=TEXT
TKT-SLA Closure Date=DATE TKT-SLA Month Closed=TEXT TKT-SLA Closed - This Month=TEXT TKT-SLA Closed - Last Month=TEXT
TKT-Actual SLA Achievement=TEXT Chg-Risk=TEXT Chg-Trigger=TEXT Chg-Type=TEXT Chg-Planned Start Date=DATE Chg-Planned End Date=DATE
Chg-Actual Start Date=DATE Chg-Actual End Date=DATE Chg-Approver=TEXT Chg-Success=TEXT TKT-Is Template=TEXT TKT-Platform=TEXT
TKT-Group=TEXT
"""
_COMMENTS = """
comment_id=INTEGER ticket_id=INTEGER comment_text=TEXT user_id=INTEGER user_name=TEXT owner_type=TEXT created_time=DATE
visible_to_customer=TEXT comment_type=TEXT team=TEXT
"""
_TIMESHEETS = """
TS-User Full Name=TEXT TS-User Username=TEXT TS-Title=TEXT TS-Description=TEXT TS-Date=DATE TS-Time From=TEXT TS-Time To=TEXT
TS-Type=TEXT TS-Category=TEXT TS-Sub Category=REAL TS-Category 2=TEXT TS-Hours=REAL TS-Crm ID=INTEGER
TS-Ticket Project Master Code=TEXT TS-Costcentre ID=INTEGER TS-Costcentre Desc=TEXT TS-Account Selcom=TEXT TS-Account Name=TEXT
TS-Account Bill State=TEXT TS-Account Internal=TEXT TS-Ticket Department=TEXT
"""
_QUALITY = """
comment_id=TEXT ticket_id=TEXT user_name=TEXT team=TEXT comment_type=TEXT created_time=DATE cleaned_text=TEXT
professionalism_score=INTEGER clarity_score=INTEGER empathy_score=INTEGER actionability_score=INTEGER quality_score=REAL
quality_tier=TEXT content_tags=TEXT red_flags=TEXT intent_summary=TEXT analysis_timestamp=DATE
"""
_SENTIMENT = """
comment_id=INTEGER ticket_id=INTEGER user_name=TEXT team=TEXT comment_type=TEXT created_time=DATE cleaned_text=TEXT sentiment=TEXT
confidence=REAL reasoning=TEXT model_used=TEXT latency_ms=INTEGER analysis_timestamp=DATE
"""
_ROSTER = "name=TEXT email=TEXT username=TEXT"
_IMPORTS = """
import_id=INTEGER source_type=TEXT import_timestamp=TEXT file_name=TEXT records_imported=INTEGER date_range_start=TEXT
date_range_end=TEXT filter_applied=TEXT notes=TEXT
"""


def _columns(text: str) -> tuple[tuple[str, str], ...]:
    """``name=TYPE`` pairs; names hold blanks, so each pair ends with its type."""
    found, name = [], ""
    for word in text.split():
        head, equals, kind = word.rpartition("=")
        name = f"{name} {head if equals else word}".strip()
        if equals:
            declared = ("TEXT" if name in _TEXT_DATES else "TIMESTAMP") if kind == "DATE" else kind
            found.append((name, declared))
            name = ""
    return tuple(found)


TABLES: dict[str, tuple[tuple[str, str], ...]] = {
    "tickets": _columns(_TICKETS),
    "comments": _columns(_COMMENTS),
    "timesheets": _columns(_TIMESHEETS),
    "comment_quality": _columns(_QUALITY),
    "comment_sentiment": _columns(_SENTIMENT),
    "cloud_team_roster": _columns(_ROSTER),
    "import_metadata": _columns(_IMPORTS),
}
"""Table to its columns, each with the type that the vendor declares."""


def column_names(table: str) -> tuple[str, ...]:
    """The columns of a table, in order."""
    return tuple(name for name, _ in TABLES[table])


def create_statement(table: str) -> str:
    """CREATE TABLE as the vendor's export has it."""
    columns = ", ".join(f'"{name}" {declared}' for name, declared in TABLES[table])
    return f'CREATE TABLE "{table}" ({columns})'
