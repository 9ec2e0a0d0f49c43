WITH clock (now) AS (SELECT {now:now})
SELECT
    now,
    (SELECT COUNT(*) FROM (
        SELECT 1 FROM entries {index:entries_undelayed}
        WHERE kind = 0 AND {unfinished:queued} LIMIT :limit
    ) AS undelayed)
    + (SELECT COUNT(*) FROM (
        SELECT 1 FROM entries {index:entries_scheduled}
        WHERE kind <> 0 AND attempt_count = 0 AND {in_status:queued}
            AND available_at <= (SELECT now FROM clock)
        LIMIT :limit
    ) AS sent)
    + (SELECT COUNT(*) FROM (
        SELECT 1 FROM entries {index:entries_retrying}
        WHERE kind <> 0 AND attempt_count > 0 AND {in_status:queued}
            AND available_at <= (SELECT now FROM clock)
        LIMIT :limit
    ) AS retried) AS due,
    (SELECT COUNT(*) FROM (
        SELECT 1 FROM entries {index:entries_scheduled}
        WHERE kind <> 0 AND attempt_count = 0 AND {in_status:queued}
            AND available_at > (SELECT now FROM clock)
        LIMIT :limit
    ) AS later) AS scheduled,
    (SELECT COUNT(*) FROM (
        SELECT 1 FROM entries {index:entries_retrying}
        WHERE kind <> 0 AND attempt_count > 0 AND {in_status:queued}
            AND available_at > (SELECT now FROM clock)
        LIMIT :limit
    ) AS again) AS retrying,
    (SELECT COUNT(*) FROM (
        SELECT 1
        FROM mailboxes
        CROSS JOIN entries {index:entries_queued}
        WHERE {once:entries.mailbox_id = mailboxes.mailbox_id} AND entries.status = 'queued'
            AND {paused}
        LIMIT :limit
    ) AS behind_pause) AS paused,
    (SELECT COUNT(*) FROM (
        SELECT 1 FROM entries WHERE {in_status:claimed} ORDER BY created_at, entry_id LIMIT :limit
    ) AS held) AS claimed,
    (SELECT COUNT(*) FROM (
        SELECT 1 FROM entries WHERE {in_status:dead_letter} ORDER BY created_at, entry_id LIMIT :limit
    ) AS failed) AS dead,
    (SELECT COUNT(*) FROM (
        SELECT 1 FROM entries WHERE {in_status:accepted} ORDER BY created_at, entry_id LIMIT :limit
    ) AS done)
    + (SELECT COUNT(*) FROM (
        SELECT 1 FROM entries WHERE {in_status:superseded} ORDER BY created_at, entry_id LIMIT :limit
    ) AS replaced)
    + (SELECT COUNT(*) FROM (
        SELECT 1 FROM entries WHERE {in_status:cancelled} ORDER BY created_at, entry_id LIMIT :limit
    ) AS stopped) AS ended
FROM clock
