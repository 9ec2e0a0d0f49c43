SELECT last_error, COUNT(*) AS entries_with_it
FROM entries
WHERE status IN ('queued', 'claimed', 'dead_letter') AND last_error IS NOT NULL AND {conditions}
GROUP BY last_error
ORDER BY entries_with_it DESC, last_error
LIMIT :limit
