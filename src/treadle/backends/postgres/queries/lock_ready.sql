-- Lock the mailboxes from which a claim would take first, and return the time of the claim.
--
-- The next statement reads what is in them. It has to be another statement, because it must see what
-- the last holder of each lock has left, and a statement sees the database as it was at its own
-- start. It has to know which mailboxes were locked; both go to the server in one round trip, so
-- their ids cannot travel through the client, and are left in a setting of the transaction.
WITH RECURSIVE {priorities},
clock (now) AS (SELECT {claim_time}),
ready AS (
    SELECT found.mailbox_id
    FROM priorities
    CROSS JOIN LATERAL (
        {ready_mailboxes}
        -- Weaker than the FOR UPDATE of commits: see read_skipped.sql.
        FOR NO KEY UPDATE OF mailbox SKIP LOCKED
    ) AS found
    LIMIT :limit
),
expired AS (
    {expired_mailboxes}
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
