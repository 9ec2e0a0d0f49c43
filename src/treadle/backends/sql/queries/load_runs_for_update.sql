SELECT run_id, body
FROM runs
WHERE run_id {in:ids}
ORDER BY run_id
{lock:FOR NO KEY UPDATE}
