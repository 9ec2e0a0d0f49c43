SELECT run_id, body
FROM runs
WHERE run_id = :run_id
