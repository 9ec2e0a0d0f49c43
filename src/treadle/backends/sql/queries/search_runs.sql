SELECT run_id, body
FROM runs
WHERE {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
