SELECT threads.thread_id, threads.version, threads.created_at, threads.updated_at,
    threads.message_count, thread_bodies.body
FROM thread_times
JOIN threads USING (thread_key)
LEFT JOIN thread_bodies USING (thread_key)
WHERE {conditions}
ORDER BY {sort}
LIMIT :limit
