-- What ready_heads.sql finds of some mailboxes, among the first `:look` heads of a priority.
WITH clock (now) AS (VALUES (:now))
SELECT mailbox_id, priority, kind, turn, available_at, created_at, entry_id, 1 AS is_head
FROM (
    SELECT * FROM queue_heads WHERE blocked = 0 AND priority = :priority AND kind = 0
    UNION ALL
    SELECT * FROM queue_heads
    WHERE blocked = 0 AND priority = :priority AND kind = 1 AND available_at <= :now
    UNION ALL
    SELECT * FROM queue_heads
    WHERE blocked = 0 AND priority = :priority AND kind = 2 AND available_at <= :now
    ORDER BY available_at, created_at, entry_id
    LIMIT :look
) AS heads
WHERE {conditions}
    AND NOT EXISTS ({better})
    AND NOT EXISTS (
        SELECT 1 FROM mailboxes WHERE mailboxes.mailbox_id = heads.mailbox_id AND {paused}
    )
ORDER BY available_at, created_at, entry_id
LIMIT :limit
