INSERT INTO queue_heads (mailbox_id, priority, available_at, created_at, entry_id, blocked)
SELECT
    entries.mailbox_id, entries.priority, entries.available_at, entries.created_at,
    entries.entry_id, CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
FROM entries
JOIN mailboxes ON mailboxes.mailbox_id = entries.mailbox_id
WHERE entries.mailbox_id = :mailbox_id
    AND entries.priority = :priority
    AND entries.status = 'queued'
ORDER BY entries.available_at, entries.created_at, entries.entry_id
LIMIT 1
ON CONFLICT (mailbox_id, priority) DO NOTHING
