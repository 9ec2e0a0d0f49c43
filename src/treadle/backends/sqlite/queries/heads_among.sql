-- The heads of some mailboxes that are due, each the first of its mailbox, among the first `:most`.
-- All that are due are sorted.
WITH clock (now) AS (VALUES (:now))
SELECT mailbox_id, priority, kind, turn, available_at, created_at, entry_id, 1 AS is_head
FROM (
    SELECT *
    FROM {heads_among:look} AS own
    WHERE blocked = 0 AND (kind = 0 OR available_at <= :now)
    ORDER BY priority DESC, available_at, created_at, entry_id
    LIMIT :most
) AS heads
WHERE NOT EXISTS ({better})
    AND NOT EXISTS (
        SELECT 1 FROM mailboxes WHERE mailboxes.mailbox_id = heads.mailbox_id AND {paused}
    )
ORDER BY priority DESC, available_at, created_at, entry_id
LIMIT :limit
