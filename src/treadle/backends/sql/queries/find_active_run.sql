SELECT run_id, body
FROM runs
WHERE thread_id = :thread_id AND status <> 'done'
ORDER BY created_at DESC, updated_at DESC, run_id DESC
LIMIT 1 OFFSET :offset
