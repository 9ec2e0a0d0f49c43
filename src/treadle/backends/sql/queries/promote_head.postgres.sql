-- The next waiting entry of a queue that has lost its head, if there is one. DISTINCT lets PostgreSQL
-- look for it once for each queue: it might do so for each entry.
INSERT INTO queue_heads (
    mailbox_id, priority, kind, turn, available_at, created_at, entry_id, blocked
)
SELECT
    queued.mailbox_id, queued.priority, queued.kind, queued.turn, queued.available_at,
    queued.created_at, queued.entry_id, {blocked}
FROM (
    SELECT DISTINCT given.mailbox_id, (
        SELECT waiting.entry_id
        FROM entries AS waiting {index:entries_queued}
        WHERE waiting.mailbox_id = given.mailbox_id
            AND waiting.priority = given.priority
            AND waiting.kind = given.kind
            AND waiting.status = 'queued'
        ORDER BY waiting.turn, waiting.available_at, waiting.created_at, waiting.entry_id
        LIMIT 1
    ) AS entry_id
    FROM {given:mailbox_id, priority, kind}
) AS next
JOIN mailboxes ON mailboxes.mailbox_id = next.mailbox_id
JOIN entries AS queued ON {once:queued.entry_id = next.entry_id}
WHERE next.entry_id IS NOT NULL
ON CONFLICT (mailbox_id, priority, kind) DO NOTHING
