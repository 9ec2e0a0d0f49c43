SELECT last_error, COUNT(*) AS entries_with_it
FROM (
    SELECT last_error
    FROM entries
    WHERE {unfinished:queued, claimed} AND last_error IS NOT NULL AND {conditions}
    UNION ALL
    SELECT last_error
    FROM entries
    WHERE ended_at IS NOT NULL AND status <> 'accepted' AND {in_status:dead_letter}
        AND last_error IS NOT NULL AND {conditions}
) AS failed
GROUP BY last_error
ORDER BY entries_with_it DESC, last_error
LIMIT :limit
