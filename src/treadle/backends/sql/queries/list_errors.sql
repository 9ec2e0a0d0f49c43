SELECT last_error, COUNT(*) AS entries_with_it, MAX(updated_at),
    CAST(SUM(COUNT(*)) OVER () AS bigint) AS looked_at
FROM (
    SELECT last_error, updated_at
    FROM entries
    WHERE ended_at IS NOT NULL AND status <> 'accepted' AND {conditions}
    ORDER BY created_at DESC, entry_id DESC
    LIMIT :limit
) AS newest
GROUP BY last_error
ORDER BY last_error IS NULL, entries_with_it DESC, last_error
LIMIT :errors
