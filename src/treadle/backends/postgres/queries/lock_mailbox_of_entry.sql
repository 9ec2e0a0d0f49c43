-- Lock the mailbox of an entry for a claim, unless it is paused, and return the time of the claim; see
-- lock_ready.sql.
WITH clock (now) AS (SELECT {claim_time})
SELECT
    (SELECT now FROM clock),
    set_config('treadle.locked', COALESCE(json_agg(locked.mailbox_id), '[]')::text, true)
FROM (
    SELECT mailbox_id
    FROM mailboxes
    WHERE mailbox_id = (SELECT entries.mailbox_id FROM entries WHERE entries.entry_id = :entry_id)
        AND NOT {paused}
    FOR NO KEY UPDATE
) AS locked
