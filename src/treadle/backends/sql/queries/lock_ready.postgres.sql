-- Mailboxes that are not being changed, in the order of what would be claimed from them; told to
-- the next statement, which reads them under these locks.
WITH RECURSIVE {steps},
ready AS (
    SELECT heads.mailbox_id
    FROM steps
    CROSS JOIN LATERAL (
        SELECT mailbox.mailbox_id
        FROM lanes
        JOIN mailboxes AS mailbox USING (mailbox_id)
        WHERE lanes.parked = 0
            AND lanes.priority = steps.priority
            AND lanes.available_at <= current_setting('treadle.now')::bigint
            AND NOT EXISTS (
                SELECT 1
                FROM lanes AS better
                WHERE better.mailbox_id = lanes.mailbox_id
                    AND better.priority > lanes.priority
                    AND better.available_at <= current_setting('treadle.now')::bigint
            )
        ORDER BY lanes.available_at, lanes.created_at, lanes.entry_id
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
    LIMIT 1000
    FOR NO KEY UPDATE SKIP LOCKED
)
SELECT set_config('treadle.chosen', COALESCE(json_agg(chosen.mailbox_id), '[]')::text, true)
FROM (SELECT mailbox_id FROM ready UNION SELECT mailbox_id FROM expired) AS chosen
