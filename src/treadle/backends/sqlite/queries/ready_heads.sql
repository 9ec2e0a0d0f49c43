-- The heads of a priority and kind that are due, each the first of its mailbox.
WITH clock (now) AS (VALUES (:now))
SELECT mailbox_id, priority, kind, turn, available_at, created_at, entry_id, 1 AS is_head
FROM queue_heads AS heads
WHERE blocked = 0
    AND priority = :priority
    AND kind = :kind
    AND available_at <= :until
    AND NOT EXISTS ({better})
    -- A clock that went back can lead into a pause that a claim has found to be over.
    AND NOT EXISTS (
        SELECT 1 FROM mailboxes WHERE mailboxes.mailbox_id = heads.mailbox_id AND {paused}
    )
ORDER BY available_at, created_at, entry_id
LIMIT :limit
