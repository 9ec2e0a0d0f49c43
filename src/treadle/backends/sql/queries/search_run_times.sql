SELECT run_id, runs.body
FROM run_times
JOIN runs USING (run_id)
WHERE {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
