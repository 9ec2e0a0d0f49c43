-- What read_skipped.sql reads, for some mailboxes.
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
),
skipped AS (
    SELECT mailbox_id FROM front
    UNION
    SELECT mailbox_id FROM before_last
    UNION
    SELECT mailbox_id FROM expired
    EXCEPT
    SELECT json_array_elements_text(current_setting('treadle.locked')::json)
),
-- No commit holds these: no transaction does, or a claim.
without_commit AS (
    SELECT mailbox_id
    FROM mailboxes
    WHERE mailbox_id = ANY (ARRAY(SELECT skipped.mailbox_id FROM skipped))
    FOR KEY SHARE SKIP LOCKED
),
-- No transaction holds these any longer, and no claim has taken from them: a commit has just ended.
released AS (
    SELECT mailbox_id
    FROM mailboxes
    WHERE mailbox_id = ANY (ARRAY(SELECT skipped.mailbox_id FROM skipped))
        AND COALESCE(lease_until, 0) <= (SELECT now FROM clock)
    FOR NO KEY UPDATE SKIP LOCKED
)
SELECT
    mailbox_id,
    mailbox_id NOT IN (SELECT mailbox_id FROM without_commit)
        OR mailbox_id IN (SELECT mailbox_id FROM released)
FROM skipped
-- Nobody is changing a mailbox whose row is missing, which is damage.
JOIN mailboxes USING (mailbox_id)
WHERE NOT {paused}
