-- Each entry is classified once, and counted with those of its class.
WITH clock (now) AS (SELECT {now:now})
SELECT now, class, found, tried, expired, oldest
FROM clock
LEFT JOIN (
    SELECT
        CASE
            WHEN status = 'claimed' THEN 'claimed'
            WHEN mailbox_id IN (SELECT mailbox_id FROM mailboxes WHERE {paused}) THEN 'paused'
            WHEN kind <> 0 AND available_at > (SELECT now FROM clock) THEN 'waiting'
            ELSE 'due'
        END AS class,
        COUNT(*) AS found,
        COUNT(CASE WHEN attempt_count > 0 THEN 1 END) AS tried,
        COUNT(CASE WHEN lease_until <= (SELECT now FROM clock) THEN 1 END) AS expired,
        MIN(available_at) AS oldest
    FROM entries
    WHERE {unfinished:queued, claimed} AND {conditions}
    GROUP BY class
) AS classes ON TRUE
