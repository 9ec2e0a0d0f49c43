-- The id and the time are those that the rows are sorted by, because a cursor is made of them.
SELECT changed_id, threads.version, threads.created_at, changed_at, threads.message_count,
    thread_bodies.body
FROM {threads_with_times:JOIN}
LEFT JOIN thread_bodies USING (thread_key)
WHERE {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
