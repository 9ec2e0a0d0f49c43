WITH clock (now) AS (SELECT {now:now})
SELECT
    MAX(now),
    COUNT(CASE WHEN status = 'queued' AND (kind = 0 OR available_at <= now) THEN 1 END),
    COUNT(CASE WHEN status = 'queued' AND kind <> 0 AND available_at > now THEN 1 END),
    COUNT(
        CASE WHEN status = 'queued' AND kind <> 0 AND available_at > now AND attempt_count > 0
            THEN 1 END
    ),
    COUNT(CASE WHEN status = 'claimed' AND lease_until <= now THEN 1 END),
    MIN(CASE WHEN status = 'queued' AND (kind = 0 OR available_at <= now) THEN available_at END)
FROM clock
LEFT JOIN entries ON {unfinished:queued, claimed} AND {conditions}
