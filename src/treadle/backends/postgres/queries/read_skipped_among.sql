-- What read_skipped.sql reads, for some mailboxes.
WITH RECURSIVE {priorities},
clock (now) AS (SELECT {claim_time}),
{ranges},
{conditions},
{own_heads},
-- The last head that the claim takes.
last AS (
    SELECT priority, available_at, created_at, entry_id
    FROM own
    WHERE mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.ready')::json)
        ))
    ORDER BY priority, available_at DESC, created_at DESC, entry_id DESC
    LIMIT 1
),
front AS (
    SELECT mailbox_id
    FROM own
    ORDER BY priority DESC, available_at, created_at, entry_id
    LIMIT :limit
),
before_last AS (
    SELECT own.mailbox_id
    FROM own
    CROSS JOIN last
    WHERE (-own.priority, own.available_at, own.created_at, own.entry_id)
        <= (-last.priority, last.available_at, last.created_at, last.entry_id)
),
expired AS (
    {expired_among}
    ORDER BY wakes_at
    LIMIT :expired
),
{skipped}
