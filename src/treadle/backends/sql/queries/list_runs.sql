SELECT run_id, body
FROM runs
WHERE {conditions}
ORDER BY created_at, run_id
LIMIT :limit OFFSET :offset
