"""Reports: counts by what entries wait for, their errors, and their holders, each in one step."""

from collections import Counter

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.sql._listing import conditions_of
from treadle.backends.sql.program import Program, Read
from treadle.core.entry_groups import (
    GROUPS,
    CountGroups,
    EntryGroup,
    GroupCounts,
    group_counts,
)
from treadle.core.limits import PAGE, clamp_counted
from treadle.core.mailbox_reports import (
    ERRORS,
    Consumer,
    Consumers,
    EntryReport,
    ErrorCount,
    ErrorGroup,
    ErrorGroups,
    ListConsumers,
    ListErrors,
    ReportEntries,
)
from treadle.core.mailboxes import STATUSES, MailboxStats

_NO_ENTRIES = (0, 0, 0, None)
"""The numbers of a class that `report_entries` has not found."""


def report_entries(
    query: ReportEntries, damage: DamageLog, now: int | None
) -> Program[EntryReport]:
    """What is in a mailbox, or in all of them."""
    conditions, values = conditions_of(query, beside="now")
    listed = () if query.mailbox_id is None else ("mailbox",)
    counted, found, failed = yield (
        Read("count_entries", values, conditions),
        Read("report_entries", {**values, "now": now}, listed),
        Read("report_errors", {**values, "limit": ERRORS}, listed),
    )
    counts = {status: count for status, count in counted if status in STATUSES}
    of = {row[1]: row[2:] for row in found}
    due, _, _, oldest = of.get("due", _NO_ENTRIES)
    waiting, retrying, *_ = of.get("waiting", _NO_ENTRIES)
    paused, *_ = of.get("paused", _NO_ENTRIES)
    _, _, expired, _ = of.get("claimed", _NO_ENTRIES)
    return EntryReport(
        at=found[0][0],
        counts=msgspec.convert(counts, type=MailboxStats),
        due=due,
        scheduled=waiting - retrying,
        retrying=retrying,
        paused=paused,
        expired=expired,
        oldest_due_at=oldest if isinstance(oldest, int) else None,
        errors=tuple(
            ErrorCount(error=error, count=count)
            for text, count in failed
            if (error := _text_of(text)) is not None
        ),
    )


def count_groups(query: CountGroups, damage: DamageLog, now: int | None) -> Program[GroupCounts]:
    """How many entries there are in each group, as far as they are counted."""
    limit = clamp_counted(query.limit)
    if query.mailbox_id is None:
        (((at, *found),),) = yield (Read("count_groups", {"now": now, "limit": limit}),)
        return group_counts(at, Counter(dict(zip(GROUPS, found, strict=True))), limit)
    (queued,), (settled,) = yield read_counts(query.mailbox_id, limit, now)
    at, due, scheduled, retrying, _, is_paused, claimed, dead = queued
    *ended, newest = settled
    waiting = due + scheduled + retrying
    numbers = (due, scheduled, retrying, waiting if is_paused else 0, claimed, dead, sum(ended))
    counts: dict[EntryGroup, int] = dict(zip(GROUPS, numbers, strict=True))
    return group_counts(at, Counter(counts), limit, queued=waiting, newest=newest)


def read_counts(mailbox_id: str, limit: int, now: int | None) -> tuple[Read, Read]:
    """A bounded look at a mailbox: what waits, is held and has failed; and what has ended."""
    values = {"mailbox_id": mailbox_id, "limit": limit, "now": now}
    return Read("count_queued", values), Read("count_settled", values)


def list_errors(query: ListErrors, damage: DamageLog) -> Program[ErrorGroups]:
    """The errors of the newest dead letters."""
    limit = clamp_counted(query.limit)
    of = {"mailbox_id": query.mailbox_id, "status": "dead_letter"}
    values = {**of, "limit": limit, "errors": ERRORS}
    conditions = ("status",) if query.mailbox_id is None else ("mailbox", "status")
    (rows,) = yield (Read("list_errors", values, conditions),)
    looked_at = rows[0][-1] if rows else 0
    return ErrorGroups(
        items=tuple(
            ErrorGroup(error=error, count=count, last_at=_time_of(last_at))
            for text, count, last_at, _ in rows
            if (error := _text_of(text)) is not None
        ),
        looked_at=looked_at,
        more=looked_at == limit,
    )


def list_consumers(query: ListConsumers, damage: DamageLog, now: int | None) -> Program[Consumers]:
    """Who holds the newest claimed entries."""
    limit = clamp_counted(query.limit)
    values = {"now": now, "limit": limit, "consumers": PAGE}
    (rows,) = yield (Read("list_consumers", values),)
    at, *_, looked_at = rows[0]
    return Consumers(
        at=at,
        items=tuple(
            Consumer(
                name=name,
                claims=claims,
                mailboxes=mailboxes,
                expired=expired,
                lease_until=_time_of(lease_until),
            )
            for _, text, claims, mailboxes, expired, lease_until, _ in rows
            if (name := _text_of(text)) is not None
        ),
        looked_at=looked_at,
        more=looked_at == limit,
    )


def _time_of(value: object) -> int | None:
    """A time; None if it cannot be read."""
    return value if isinstance(value, int) and value >= 0 else None


def _text_of(text: object) -> str | None:
    """The text in a column of JSON; None if it cannot be read."""
    try:
        return msgspec.json.decode(text, type=str) if isinstance(text, str) else None
    except msgspec.DecodeError:
        return None
