SELECT mailbox_id, priority, available_at, created_at, entry_id, 1 AS is_head
FROM queue_heads
WHERE blocked = 0 AND priority = :priority AND available_at <= :now
ORDER BY available_at, created_at, entry_id
LIMIT :limit
