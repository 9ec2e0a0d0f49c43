WITH clock (now) AS (SELECT {now:now})
SELECT MAX(now), claimed_by, COUNT(entry_id) AS claims, COUNT(DISTINCT mailbox_id),
    COUNT(CASE WHEN lease_until <= now THEN 1 END), MIN(lease_until),
    CAST(SUM(COUNT(entry_id)) OVER () AS bigint) AS looked_at
FROM clock
LEFT JOIN (
    SELECT claimed_by, entry_id, mailbox_id, lease_until
    FROM entries
    WHERE {in_status:claimed}
    ORDER BY created_at DESC, entry_id DESC
    LIMIT :limit
) AS newest ON 1 = 1
GROUP BY claimed_by
ORDER BY claimed_by IS NULL, claims DESC, claimed_by
LIMIT :consumers
