-- The id and the time are those that the rows are sorted by, because a cursor is made of them.
SELECT thread_times.changed_id, threads.version, threads.created_at, thread_times.changed_at,
    threads.message_count, thread_bodies.body
FROM thread_times
JOIN threads USING (thread_key)
LEFT JOIN thread_bodies USING (thread_key)
WHERE {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
