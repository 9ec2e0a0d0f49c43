-- Mailboxes that are not being changed, in the order of what would be claimed from them; told to
-- the next statement, which reads them under these locks.
WITH RECURSIVE {priorities},
ready AS (
    SELECT heads.mailbox_id
    FROM priorities
    CROSS JOIN LATERAL (
        SELECT mailbox.mailbox_id
        FROM queue_heads
        JOIN mailboxes AS mailbox USING (mailbox_id)
        WHERE queue_heads.blocked = 0
            AND queue_heads.priority = priorities.priority
            AND queue_heads.available_at <= current_setting('treadle.now')::bigint
            AND NOT EXISTS (
                SELECT 1
                FROM queue_heads AS better
                WHERE better.mailbox_id = queue_heads.mailbox_id
                    AND better.priority > queue_heads.priority
                    AND better.available_at <= current_setting('treadle.now')::bigint
            )
        ORDER BY queue_heads.available_at, queue_heads.created_at, queue_heads.entry_id
        LIMIT :limit
        FOR NO KEY UPDATE OF mailbox SKIP LOCKED
    ) AS heads
    LIMIT :limit
),
expired AS (
    SELECT mailbox_id
    FROM mailboxes
    WHERE wakes_at <= current_setting('treadle.now')::bigint
    ORDER BY wakes_at
    LIMIT :expired
    FOR NO KEY UPDATE SKIP LOCKED
)
SELECT set_config('treadle.chosen', COALESCE(json_agg(chosen.mailbox_id), '[]')::text, true)
FROM (SELECT mailbox_id FROM ready UNION SELECT mailbox_id FROM expired) AS chosen
