INSERT INTO queue_heads (mailbox_id, priority, available_at, created_at, entry_id, blocked)
SELECT
    :mailbox_id, :priority, :available_at, :created_at, :entry_id,
    CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END
FROM mailboxes
WHERE mailbox_id = :mailbox_id
ON CONFLICT (mailbox_id, priority) DO UPDATE
SET available_at = excluded.available_at,
    created_at = excluded.created_at,
    entry_id = excluded.entry_id
WHERE (excluded.available_at, excluded.created_at, excluded.entry_id)
    < (queue_heads.available_at, queue_heads.created_at, queue_heads.entry_id)
