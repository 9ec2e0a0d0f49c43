"""Examining what belongs together: no row without the row that it is a part of.

Each rule is a query for the rows that break it, and the sentence that reports one of them.
"""

from collections.abc import Iterable, Iterator

import msgspec

from treadle.backends.findings import Finding, escape
from treadle.backends.sql.program import Row


class Rule(msgspec.Struct, frozen=True):
    """A query for rows that break a rule; `path` and `reason` are filled in with their columns."""

    table: str
    path: str
    reason: str
    query: str


def findings_of(rule: Rule, columns: tuple[str, ...], rows: Iterable[Row]) -> Iterator[Finding]:
    """Report the rows that break a rule."""
    for row in rows:
        values = dict(zip(columns, row, strict=True))
        path, reason = rule.path.format(**values), rule.reason.format(**values)
        yield Finding(path=escape(path), reason=escape(reason))


PART_RULES = (
    Rule(
        "thread_bodies",
        "threads/#{thread_key}",
        "its thread is missing",
        "SELECT thread_key FROM thread_bodies"
        " WHERE NOT EXISTS"
        " (SELECT 1 FROM threads WHERE threads.thread_key = thread_bodies.thread_key)",
    ),
    Rule(
        "thread_times",
        "threads/#{thread_key}",
        "its thread is missing",
        "SELECT thread_key FROM thread_times"
        " WHERE NOT EXISTS"
        " (SELECT 1 FROM threads WHERE threads.thread_key = thread_times.thread_key)",
    ),
    Rule(
        "run_times",
        "runs/{run_id}",
        "its run is missing",
        "SELECT run_id FROM run_times"
        " WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.run_id = run_times.run_id)",
    ),
    Rule(
        "messages",
        "threads/#{thread_key}/messages/{position}",
        "its thread is missing",
        "SELECT thread_key, position FROM messages"
        " WHERE NOT EXISTS (SELECT 1 FROM threads WHERE threads.thread_key = messages.thread_key)",
    ),
    Rule(
        "removed_messages",
        "threads/#{thread_key}/removed_messages/{position}@{version}",
        "its thread is missing",
        "SELECT thread_key, position, version FROM removed_messages"
        " WHERE NOT EXISTS"
        " (SELECT 1 FROM threads WHERE threads.thread_key = removed_messages.thread_key)",
    ),
    Rule(
        "patches",
        "threads/#{thread_key}/patches/{position}",
        "its thread is missing",
        "SELECT thread_key, position FROM patches"
        " WHERE NOT EXISTS (SELECT 1 FROM threads WHERE threads.thread_key = patches.thread_key)",
    ),
    Rule(
        "deltas",
        "threads/#{thread_key}/deltas/{version}",
        "its thread is missing",
        "SELECT thread_key, version FROM deltas"
        " WHERE NOT EXISTS (SELECT 1 FROM threads WHERE threads.thread_key = deltas.thread_key)",
    ),
    Rule(
        "threads",
        "threads/{thread_id}",
        "its body is missing",
        "SELECT thread_id FROM threads"
        " WHERE NOT EXISTS"
        " (SELECT 1 FROM thread_bodies WHERE thread_bodies.thread_key = threads.thread_key)",
    ),
    Rule(
        "payloads",
        "mailboxes/{mailbox_id}/entries/{entry_id}",
        "its payload is there, and it is missing",
        "SELECT mailbox_id, entry_id FROM payloads"
        " WHERE NOT EXISTS (SELECT 1 FROM entries WHERE entries.entry_id = payloads.entry_id"
        " AND entries.mailbox_id = payloads.mailbox_id"
        " AND entries.created_at = payloads.created_at)",
    ),
    Rule(
        "entries",
        "mailboxes/{mailbox_id}/entries/{entry_id}",
        "its payload is missing",
        "SELECT mailbox_id, entry_id FROM entries"
        " WHERE NOT EXISTS (SELECT 1 FROM payloads WHERE payloads.entry_id = entries.entry_id"
        " AND payloads.mailbox_id = entries.mailbox_id"
        " AND payloads.created_at = entries.created_at)",
    ),
    Rule(
        "entries",
        "mailboxes/{mailbox_id}/entries/{entry_id}",
        "its mailbox is missing",
        "SELECT mailbox_id, entry_id FROM entries"
        " WHERE NOT EXISTS"
        " (SELECT 1 FROM mailboxes WHERE mailboxes.mailbox_id = entries.mailbox_id)",
    ),
)
"""Every part belongs to a whole, and every whole has its parts."""
