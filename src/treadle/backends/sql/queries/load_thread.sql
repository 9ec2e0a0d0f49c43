SELECT threads.version, threads.updated_at, thread_bodies.body, thread_bodies.state
FROM threads
LEFT JOIN thread_bodies USING (thread_key)
WHERE threads.thread_id = :thread_id
