"""Examining rules between rows: every part has its whole, no gaps, each queue has its head.

Each rule is a query for the rows that break it, and the sentence that reports one of them. The
queries are for both databases: no column holds -1, so it stands for NULL in comparisons.
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
    only_on: str | None = None
    """The dialect of the only database that has the table."""


def findings_of(rule: Rule, columns: tuple[str, ...], rows: Iterable[Row]) -> Iterator[Finding]:
    """Report the rows that break a rule."""
    for row in rows:
        values = dict(zip(columns, row, strict=True))
        path, reason = rule.path.format(**values), rule.reason.format(**values)
        yield Finding(path=escape(path), reason=escape(reason))


_PARTS = (
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
        only_on="postgres",
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

# A claimed entry without a lease is held for ever: `refresh_lease` writes the same number.
_DERIVED = """
WITH
    waiting AS (
        SELECT mailbox_id, priority, kind, turn, available_at, created_at, entry_id,
            ROW_NUMBER() OVER (
                PARTITION BY mailbox_id, priority, kind
                ORDER BY turn, available_at, created_at, entry_id
            ) AS number
        FROM entries WHERE status = 'queued'
    ),
    heads AS (SELECT * FROM waiting WHERE number = 1),
    kept AS (
        SELECT mailbox_id, MAX(priority) AS until_priority
        FROM queue_heads WHERE kind = 1 GROUP BY mailbox_id
    ),
    leases AS (
        SELECT mailbox_id, MAX(COALESCE(lease_until, 9223372036854775807)) AS until
        FROM entries WHERE status = 'claimed' GROUP BY mailbox_id
    ),
    counted_messages AS (
        SELECT thread_id, message_count AS count, COUNT(part.position) AS found,
            MIN(part.position) AS first, MAX(part.position) AS last
        FROM threads LEFT JOIN messages AS part ON part.thread_key = threads.thread_key
        GROUP BY threads.thread_key
    ),
    counted_patches AS (
        SELECT thread_id, patch_count AS count, COUNT(part.position) AS found,
            MIN(part.position) AS first, MAX(part.position) AS last
        FROM threads LEFT JOIN patches AS part ON part.thread_key = threads.thread_key
        GROUP BY threads.thread_key
    )
"""
"""Tables for the queries of rules: what the stored rows should be, derived from the others."""

# Messages begin at 0. Patches begin after the last snapshot, which removed those before it.
_COUNTS = (
    Rule(
        "messages",
        "threads/{thread_id}",
        "it counts {count} messages, and its last one is at {last}",
        "SELECT * FROM counted_messages WHERE last <> count - 1",
    ),
    Rule(
        "messages",
        "threads/{thread_id}",
        "its {found} messages are at {first} to {last}, with gaps",
        "SELECT * FROM counted_messages WHERE last - first + 1 <> found",
    ),
    Rule(
        "messages",
        "threads/{thread_id}",
        "it counts {count} messages, and the first one is missing",
        "SELECT * FROM counted_messages WHERE count > 0 AND COALESCE(first, -1) <> 0",
    ),
    Rule(
        "patches",
        "threads/{thread_id}",
        "it counts {count} patches, and its last one is at {last}",
        "SELECT * FROM counted_patches WHERE last <> count - 1",
    ),
    Rule(
        "patches",
        "threads/{thread_id}",
        "its {found} patches are at {first} to {last}, with gaps",
        "SELECT * FROM counted_patches WHERE last - first + 1 <> found",
    ),
    Rule(
        "deltas",
        "threads/{thread_id}",
        "it is at version {now}, and its {found} deltas lead to versions {first} to {last}",
        "SELECT thread_id, threads.version AS now, COUNT(*) AS found,"
        " MIN(deltas.version) AS first, MAX(deltas.version) AS last"
        " FROM threads JOIN deltas ON deltas.thread_key = threads.thread_key"
        " GROUP BY threads.thread_key HAVING MAX(deltas.version) <> threads.version"
        " OR MAX(deltas.version) - MIN(deltas.version) + 1 <> COUNT(*)",
    ),
)
"""The parts of a thread are numbered without gaps, up to the number that the thread counts."""

_QUEUES = (
    Rule(
        "mailboxes",
        "mailboxes/{mailbox_id}",
        "its last lease ends at {found}, and it says at {stored}",
        "SELECT mailboxes.mailbox_id AS mailbox_id, until AS found, lease_until AS stored"
        " FROM mailboxes LEFT JOIN leases USING (mailbox_id)"
        " WHERE COALESCE(lease_until, -1) <> COALESCE(until, -1)",
    ),
    Rule(
        "queue_heads",
        "mailboxes/{mailbox_id}/queue_heads/{priority}",
        "it is missing, and entry {entry_id} is waiting",
        "SELECT * FROM heads"
        " WHERE (mailbox_id, priority, kind)"
        " NOT IN (SELECT mailbox_id, priority, kind FROM queue_heads)",
    ),
    Rule(
        "queue_heads",
        "mailboxes/{mailbox_id}/queue_heads/{priority}",
        "it is entry {entry_id}, and no entry is waiting",
        "SELECT * FROM queue_heads"
        " WHERE (mailbox_id, priority, kind) NOT IN (SELECT mailbox_id, priority, kind FROM heads)",
    ),
    Rule(
        "queue_heads",
        "mailboxes/{mailbox_id}/queue_heads/{priority}",
        "it should be entry {head} at {head_at}, and is {entry_id} at {available_at}",
        "SELECT queue_heads.*, heads.entry_id AS head, heads.available_at AS head_at"
        " FROM queue_heads JOIN heads USING (mailbox_id, priority, kind)"
        " WHERE (queue_heads.entry_id, COALESCE(queue_heads.turn, -1), queue_heads.available_at,"
        " queue_heads.created_at)"
        " <> (heads.entry_id, COALESCE(heads.turn, -1), heads.available_at, heads.created_at)",
    ),
    Rule(
        "queue_heads",
        "mailboxes/{mailbox_id}/queue_heads/{priority}",
        "blocked is {blocked}, and it should be {held}",
        "SELECT * FROM (SELECT mailbox_id, priority, blocked,"
        " CASE WHEN lease_until IS NOT NULL OR pause_ends IS NOT NULL OR kept_priority > priority"
        " OR kept_priority = priority AND kind <> 1 THEN 1 ELSE 0 END AS held"
        " FROM queue_heads LEFT JOIN mailboxes USING (mailbox_id)) AS head WHERE blocked <> held",
    ),
    # A claim that comes after the end of a pause takes it out, so it may be missing.
    Rule(
        "mailboxes",
        "mailboxes/{mailbox_id}",
        "its pause ends at {found}, and it says at {stored}",
        "SELECT mailbox_id, stored, found FROM (SELECT mailbox_id, pause_ends AS stored,"
        " CASE WHEN paused_at IS NOT NULL THEN COALESCE(paused_until, 9223372036854775807) END"
        " AS found, paused_until FROM mailboxes) AS pause"
        " WHERE COALESCE(stored, -1) <> COALESCE(found, -1)"
        " AND (stored IS NOT NULL OR paused_until IS NULL)",
    ),
    Rule(
        "mailboxes",
        "mailboxes/{mailbox_id}",
        "its retry that keeps its order is of priority {found}, and it says {stored}",
        "SELECT mailboxes.mailbox_id AS mailbox_id, until_priority AS found,"
        " kept_priority AS stored FROM mailboxes LEFT JOIN kept USING (mailbox_id)"
        " WHERE COALESCE(kept_priority, -1) <> COALESCE(until_priority, -1)",
    ),
)
"""Leases and queue heads are what the entries say."""

_RULES = tuple(
    msgspec.structs.replace(rule, query=_DERIVED + rule.query)
    for rule in (*_PARTS, *_COUNTS, *_QUEUES)
)


def rules_of(dialect: str) -> tuple[Rule, ...]:
    """The rules that hold in a database."""
    return tuple(rule for rule in _RULES if rule.only_on in (None, dialect))
