-- What read_front.sql reads, for some mailboxes.
WITH RECURSIVE {priorities},
clock (now) AS (SELECT {claim_time}),
{ranges},
{conditions},
{own_heads},
front AS (
    SELECT mailbox_id
    FROM own
    ORDER BY priority DESC, available_at, created_at, entry_id
    LIMIT :limit
),
expired AS (
    {expired_among}
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
