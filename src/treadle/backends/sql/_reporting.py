"""Reports: counts by what entries wait for, and their errors, in one step."""

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.sql._listing import conditions_of
from treadle.backends.sql.program import Program, Read
from treadle.core.mailboxes import STATUSES, MailboxStats
from treadle.core.reporting import ERRORS, EntryReport, ErrorCount, ReportEntries


def report_entries(
    query: ReportEntries, damage: DamageLog, now: int | None
) -> Program[EntryReport]:
    """What is in a mailbox, or in all of them."""
    conditions, values = conditions_of(query, beside="now")
    counted, ((at, due, waiting, retrying, expired, oldest),), failed = yield (
        Read("count_entries", values, conditions),
        Read("report_entries", {**values, "now": now}, conditions),
        Read("report_errors", {**values, "limit": ERRORS}, conditions),
    )
    counts = {status: count for status, count in counted if status in STATUSES}
    return EntryReport(
        at=at,
        counts=msgspec.convert(counts, type=MailboxStats),
        due=due,
        scheduled=waiting - retrying,
        retrying=retrying,
        expired=expired,
        oldest_due_at=oldest if isinstance(oldest, int) else None,
        errors=tuple(
            ErrorCount(error=error, count=count)
            for text, count in failed
            if (error := _error_of(text)) is not None
        ),
    )


def _error_of(text: object) -> str | None:
    """The text of an error; None if it cannot be read."""
    try:
        return msgspec.json.decode(text, type=str) if isinstance(text, str) else None
    except msgspec.DecodeError:
        return None
