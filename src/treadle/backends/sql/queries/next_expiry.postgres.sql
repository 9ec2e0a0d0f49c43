-- When the first lease may run out, or the first pause ends.
SELECT MIN(first.time)
FROM (
    SELECT MIN(wakes_at) AS time
    FROM mailboxes
    WHERE wakes_at IS NOT NULL AND pause_ends IS NULL AND {conditions}
    UNION ALL
    SELECT MIN(pause_ends)
    FROM mailboxes
    WHERE pause_ends IS NOT NULL AND {conditions}
) AS first
