-- The next waiting entry of a queue that has lost its head, if there is one.
INSERT INTO queue_heads (mailbox_id, priority, available_at, created_at, entry_id, blocked)
SELECT
    entries.mailbox_id, entries.priority, entries.available_at, entries.created_at,
    entries.entry_id, CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
FROM {given:mailbox_id, priority}
JOIN mailboxes ON mailboxes.mailbox_id = given.mailbox_id
JOIN entries ON entries.entry_id = (
    SELECT waiting.entry_id
    FROM entries AS waiting {index:entries_queued}
    WHERE waiting.mailbox_id = given.mailbox_id
        AND waiting.priority = given.priority
        AND waiting.status = 'queued'
    ORDER BY waiting.available_at, waiting.created_at, waiting.entry_id
    LIMIT 1
)
-- Without this WHERE, SQLite would read ON CONFLICT as the condition of the join.
WHERE true
ON CONFLICT (mailbox_id, priority) DO NOTHING
