-- In an order, so that PostgreSQL's planner takes the index that has it, and not all threads.
SELECT threads.thread_id, threads.updated_at, thread_bodies.body
FROM threads
LEFT JOIN thread_bodies USING (thread_key)
WHERE threads.thread_id {in:ids}
ORDER BY threads.thread_id
