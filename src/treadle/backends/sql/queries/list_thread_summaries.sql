SELECT threads.thread_id, threads.version, threads.created_at, threads.updated_at,
    threads.message_count, thread_bodies.body
FROM threads
LEFT JOIN thread_bodies USING (thread_key)
WHERE {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
