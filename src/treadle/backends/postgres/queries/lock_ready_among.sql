-- What lock_ready.sql does for some mailboxes; and whether what it has looked at is enough. If not,
-- nothing is locked.
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
whole AS (
    SELECT
        (SELECT COUNT(*) FROM own) >= :limit OR (SELECT is_whole FROM looked) AS is_whole
),
ready AS (
    SELECT mailbox.mailbox_id
    FROM own
    JOIN mailboxes AS mailbox ON {once:mailbox.mailbox_id = own.mailbox_id}
    WHERE (SELECT is_whole FROM whole)
    ORDER BY own.priority DESC, own.available_at, own.created_at, own.entry_id
    LIMIT :limit
    FOR NO KEY UPDATE OF mailbox SKIP LOCKED
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
        AND (SELECT is_whole FROM whole)
    ORDER BY wakes_at
    LIMIT :expired
    FOR NO KEY UPDATE SKIP LOCKED
)
SELECT
    (SELECT now FROM clock),
    set_config('treadle.locked', COALESCE(json_agg(locked.mailbox_id), '[]')::text, true),
    set_config(
        'treadle.ready',
        (SELECT COALESCE(json_agg(ready.mailbox_id), '[]')::text FROM ready),
        true
    ),
    (SELECT is_whole FROM whole)
FROM (SELECT mailbox_id FROM ready UNION SELECT mailbox_id FROM expired) AS locked
