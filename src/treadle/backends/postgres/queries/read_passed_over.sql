-- Of the mailboxes that would come first, those that were not locked because a commit is or was
-- changing them. One that a claim has locked leaves room for a key share.
WITH RECURSIVE {priorities},
front AS (
    SELECT heads.mailbox_id
    FROM priorities
    CROSS JOIN LATERAL (
        SELECT queue_heads.mailbox_id
        FROM queue_heads
        WHERE queue_heads.blocked = 0
            AND queue_heads.priority = priorities.priority
            AND queue_heads.available_at <= current_setting('treadle.now')::bigint
        ORDER BY queue_heads.available_at, queue_heads.created_at, queue_heads.entry_id
        LIMIT :limit
    ) AS heads
    LIMIT :limit
),
missed AS (
    SELECT mailbox_id FROM front
    UNION
    (
        SELECT mailbox_id
        FROM mailboxes
        WHERE wakes_at <= current_setting('treadle.now')::bigint
        ORDER BY wakes_at
        LIMIT :expired
    )
    EXCEPT
    SELECT json_array_elements_text(current_setting('treadle.chosen')::json)
),
free AS (
    SELECT mailbox_id
    FROM mailboxes
    WHERE mailbox_id = ANY (ARRAY(SELECT missed.mailbox_id FROM missed))
        AND COALESCE(lease_until, 0) <= current_setting('treadle.now')::bigint
    FOR NO KEY UPDATE SKIP LOCKED
),
claimed AS (
    SELECT mailbox_id
    FROM mailboxes
    WHERE mailbox_id = ANY (ARRAY(SELECT missed.mailbox_id FROM missed))
    FOR KEY SHARE SKIP LOCKED
)
SELECT mailbox_id FROM missed
EXCEPT
(
    SELECT mailbox_id FROM claimed
    EXCEPT
    SELECT mailbox_id FROM free
)
