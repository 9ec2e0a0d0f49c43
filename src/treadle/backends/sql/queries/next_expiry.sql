-- When the first lease runs out, or the first pause ends.
SELECT MIN(first.time)
FROM (
    SELECT MIN(lease_until) AS time
    FROM mailboxes
    WHERE lease_until IS NOT NULL AND pause_ends IS NULL AND {conditions}
    UNION ALL
    SELECT MIN(pause_ends)
    FROM mailboxes
    WHERE pause_ends IS NOT NULL AND {conditions}
) AS first
