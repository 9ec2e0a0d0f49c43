WITH clock (now) AS (SELECT {now:now})
SELECT
    MAX(clock.now),
    COUNT(CASE WHEN kind = 0 OR available_at <= now THEN 1 END),
    COUNT(CASE WHEN kind <> 0 AND available_at > now AND attempt_count = 0 THEN 1 END),
    COUNT(CASE WHEN kind <> 0 AND available_at > now AND attempt_count > 0 THEN 1 END),
    MIN(available_at),
    (SELECT COUNT(*) FROM mailboxes WHERE mailbox_id = :mailbox_id AND {paused}),
    (SELECT COUNT(*) FROM (
        SELECT 1
        FROM entries {index:entries_claimed}
        WHERE status = 'claimed' AND mailbox_id = :mailbox_id
        LIMIT :limit
    ) AS held),
    (SELECT COUNT(*) FROM (
        SELECT 1
        FROM entries {index:entries_stopped_of_mailbox}
        WHERE ended_at IS NOT NULL AND status <> 'accepted'
            AND {listed::mailbox_id} AND {in_status:dead_letter}
        LIMIT :limit
    ) AS failed)
FROM clock
LEFT JOIN (
    SELECT kind, available_at, attempt_count
    FROM entries {index:entries_unfinished_of_mailbox}
    WHERE {unfinished:queued} AND {listed::mailbox_id}
    ORDER BY created_at, entry_id
    LIMIT :limit
) AS oldest ON 1 = 1
