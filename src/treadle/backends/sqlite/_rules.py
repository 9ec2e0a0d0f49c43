"""Examining what holds between rows: every part has its whole, no gaps, each queue has its head."""

import sqlite3
from collections.abc import Iterator

from treadle.backends.findings import Finding
from treadle.backends.sql.rules import PART_RULES, Rule, findings_of


def examine_rule(connection: sqlite3.Connection, rule: Rule) -> Iterator[Finding]:
    """Find the rows that break a rule."""
    cursor = connection.execute(_DERIVED + rule.query)
    columns = tuple(column for column, *_ in cursor.description)
    yield from findings_of(rule, columns, cursor)


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
        FROM threads LEFT JOIN messages AS part USING (thread_key) GROUP BY thread_key
    ),
    counted_patches AS (
        SELECT thread_id, patch_count AS count, COUNT(part.position) AS found,
            MIN(part.position) AS first, MAX(part.position) AS last
        FROM threads LEFT JOIN patches AS part USING (thread_key) GROUP BY thread_key
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
        "SELECT * FROM counted_messages WHERE count > 0 AND first IS NOT 0",
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
        " FROM threads JOIN deltas USING (thread_key) GROUP BY thread_key"
        " HAVING last <> now OR last - first + 1 <> found",
    ),
)
"""The parts of a thread are numbered without gaps, up to the number that the thread counts."""

_QUEUES = (
    Rule(
        "mailboxes",
        "mailboxes/{mailbox_id}",
        "its last lease ends at {found}, and it says at {stored}",
        "SELECT mailboxes.mailbox_id AS mailbox_id, until AS found, lease_until AS stored"
        " FROM mailboxes LEFT JOIN leases USING (mailbox_id) WHERE lease_until IS NOT until",
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
        " WHERE (queue_heads.entry_id, queue_heads.turn, queue_heads.available_at,"
        " queue_heads.created_at)"
        " IS NOT (heads.entry_id, heads.turn, heads.available_at, heads.created_at)",
    ),
    Rule(
        "queue_heads",
        "mailboxes/{mailbox_id}/queue_heads/{priority}",
        "blocked is {blocked}, and it should be {held}",
        "SELECT mailbox_id, priority, blocked,"
        " CASE WHEN lease_until IS NOT NULL OR pause_ends IS NOT NULL OR kept_priority > priority"
        " OR kept_priority = priority AND kind <> 1 THEN 1 ELSE 0 END AS held"
        " FROM queue_heads LEFT JOIN mailboxes USING (mailbox_id) WHERE blocked IS NOT held",
    ),
    # A claim that comes after the end of a pause takes it out, so it may be missing.
    Rule(
        "mailboxes",
        "mailboxes/{mailbox_id}",
        "its pause ends at {found}, and it says at {stored}",
        "SELECT mailbox_id, stored, found FROM (SELECT mailbox_id, pause_ends AS stored,"
        " CASE WHEN paused_at IS NOT NULL THEN COALESCE(paused_until, 9223372036854775807) END"
        " AS found, paused_until FROM mailboxes)"
        " WHERE stored IS NOT found AND (stored IS NOT NULL OR paused_until IS NULL)",
    ),
    Rule(
        "mailboxes",
        "mailboxes/{mailbox_id}",
        "its retry that keeps its order is of priority {found}, and it says {stored}",
        "SELECT mailboxes.mailbox_id AS mailbox_id, until_priority AS found,"
        " kept_priority AS stored FROM mailboxes LEFT JOIN kept USING (mailbox_id)"
        " WHERE kept_priority IS NOT until_priority",
    ),
)
"""Leases and queue heads are what the entries say."""

RULES = (*PART_RULES, *_COUNTS, *_QUEUES)
