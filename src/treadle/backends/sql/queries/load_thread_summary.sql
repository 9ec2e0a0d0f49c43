SELECT threads.thread_id, threads.version, threads.created_at, threads.updated_at,
    threads.message_count, thread_bodies.body
FROM threads
LEFT JOIN thread_bodies USING (thread_key)
WHERE threads.thread_id = :thread_id
