-- Lock the mailboxes from which a claim would take first, and return the time of the claim.
--
-- The next statement reads what is in them. It has to be another statement, because it must see what
-- the last holder of each lock has left, and a statement sees the database as it was at its own
-- start. It has to know which mailboxes were locked; both go to the server in one round trip, so
-- their ids cannot travel through the client, and are left in a setting of the transaction.
WITH RECURSIVE {priorities},
clock (now) AS (
    SELECT COALESCE(:now::bigint, (extract(epoch FROM now()) * 1000)::bigint)
),
ready AS (
    SELECT found.mailbox_id
    FROM priorities
    CROSS JOIN LATERAL (
        SELECT mailbox.mailbox_id
        FROM ({due_heads}) AS heads
        JOIN mailboxes AS mailbox ON mailbox.mailbox_id = heads.mailbox_id
        -- Only the first head of a mailbox counts, or the limit would include a mailbox twice. And a
        -- clock that went back can lead into a pause that a claim has found to be over.
        WHERE NOT EXISTS ({better})
            AND NOT (
                mailbox.paused_at IS NOT NULL
                AND COALESCE(mailbox.paused_until, 9223372036854775807) > (SELECT now FROM clock)
            )
        ORDER BY heads.available_at, heads.created_at, heads.entry_id
        LIMIT :limit
        -- Weaker than the FOR UPDATE of commits: see read_skipped.sql.
        FOR NO KEY UPDATE OF mailbox SKIP LOCKED
    ) AS found
    LIMIT :limit
),
expired AS (
    SELECT mailbox_id
    FROM mailboxes
    WHERE wakes_at <= (SELECT now FROM clock) AND pause_ends IS NULL AND NOT {paused}
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
    )
FROM (SELECT mailbox_id FROM ready UNION SELECT mailbox_id FROM expired) AS locked
