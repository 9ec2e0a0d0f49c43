-- What read_front.sql reads, for some mailboxes.
WITH RECURSIVE {priorities},
clock (now) AS (SELECT {claim_time}),
-- Once: to read them from JSON takes longer than all else that is done for a head.
ranges (first, last) AS MATERIALIZED (SELECT asked.id, asked.text FROM {pairs:ranges}),
{conditions},
own AS (
    SELECT heads.mailbox_id, heads.priority, heads.available_at, heads.created_at, heads.entry_id
    FROM first AS heads
    JOIN mailboxes ON {once:mailboxes.mailbox_id = heads.mailbox_id}
    WHERE heads.blocked <> 1 -- not `= 0`: see `_BETTER`
        AND (heads.kind = 0 OR heads.available_at <= (SELECT now FROM clock))
        AND 0 < (
            SELECT COUNT(*)
            FROM ranges
            WHERE heads.mailbox_id >= ranges.first AND heads.mailbox_id < ranges.last
        )
        AND NOT EXISTS ({better})
        AND NOT {paused}
    ORDER BY heads.priority DESC, heads.available_at, heads.created_at, heads.entry_id
    LIMIT :most
),
front AS (
    SELECT mailbox_id
    FROM own
    ORDER BY priority DESC, available_at, created_at, entry_id
    LIMIT :limit
),
expired AS (
    SELECT mailbox_id
    FROM mailboxes
    WHERE wakes_at <= (SELECT now FROM clock) AND pause_ends IS NULL AND NOT {paused}
        AND 0 < (
            SELECT COUNT(*)
            FROM ranges
            WHERE mailboxes.mailbox_id >= ranges.first AND mailboxes.mailbox_id < ranges.last
        )
    ORDER BY wakes_at
    LIMIT :expired
)
SELECT mailbox_id, false AS pause_is_over
FROM (SELECT mailbox_id FROM front UNION ALL SELECT mailbox_id FROM expired) AS first
WHERE mailbox_id NOT IN (SELECT json_array_elements_text(current_setting('treadle.locked')::json))
UNION ALL
(
    SELECT mailbox_id, true
    FROM mailboxes
    WHERE pause_ends <= (SELECT now FROM clock)
    LIMIT 1
)
