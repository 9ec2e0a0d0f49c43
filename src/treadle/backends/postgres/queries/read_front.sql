-- The mailboxes that would come first and are not locked, and those whose pauses are over. Without
-- one, the claim takes what comes first: nobody has kept a mailbox from it, and nothing has come to
-- the front since the mailboxes were chosen. Otherwise, read_skipped.sql tells why.
WITH RECURSIVE {priorities},
clock (now) AS (SELECT {claim_time}),
front AS (
    SELECT found.mailbox_id
    FROM priorities
    CROSS JOIN LATERAL ({ready_mailboxes}) AS found
    LIMIT :limit
),
expired AS ({expired_mailboxes})
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
