-- What lock_ready.sql does for some mailboxes; and whether what it has looked at is enough. If not,
-- nothing is locked.
WITH RECURSIVE {priorities},
clock (now) AS (SELECT {claim_time}),
{ranges},
{conditions},
{own_heads},
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
    {expired_among}
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
