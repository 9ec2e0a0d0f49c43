-- The next waiting entry of a queue that has lost its head, if there is one.
INSERT INTO queue_heads (
    mailbox_id, priority, kind, turn, available_at, created_at, entry_id, blocked
)
SELECT
    queued.mailbox_id, queued.priority, queued.kind, queued.turn, queued.available_at,
    queued.created_at, queued.entry_id, {blocked}
FROM mailboxes
JOIN entries AS queued {index:entries_queued} ON queued.mailbox_id = mailboxes.mailbox_id
WHERE mailboxes.mailbox_id = :mailbox_id
    AND queued.priority = :priority
    AND queued.kind = :kind
    AND queued.status = 'queued'
ORDER BY queued.turn, queued.available_at, queued.created_at, queued.entry_id
LIMIT 1
ON CONFLICT (mailbox_id, priority, kind) DO NOTHING
