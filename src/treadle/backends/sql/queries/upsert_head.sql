-- A waiting entry becomes its queue's head, unless the head comes before it.
INSERT INTO queue_heads (mailbox_id, priority, available_at, created_at, entry_id, blocked)
SELECT
    given.mailbox_id, given.priority, given.available_at, given.created_at, given.entry_id,
    CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
FROM {given:mailbox_id, priority, available_at, created_at, entry_id}
JOIN mailboxes ON mailboxes.mailbox_id = given.mailbox_id
-- Without this WHERE, SQLite would read ON CONFLICT as the condition of the join.
WHERE true
ON CONFLICT (mailbox_id, priority) DO UPDATE
SET available_at = excluded.available_at,
    created_at = excluded.created_at,
    entry_id = excluded.entry_id
WHERE (excluded.available_at, excluded.created_at, excluded.entry_id)
    < (queue_heads.available_at, queue_heads.created_at, queue_heads.entry_id)
