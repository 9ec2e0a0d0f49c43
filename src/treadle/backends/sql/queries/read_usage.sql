SELECT run_id, runs.body, runs.created_at, run_times.owner
FROM runs
LEFT JOIN run_times USING (run_id)
WHERE {conditions}
ORDER BY {sort}
LIMIT :limit
