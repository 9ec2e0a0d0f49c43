-- The last message that everybody can see among the last ones of each thread. In an order, so that
-- PostgreSQL's planner takes the index that has it, and not all threads.
SELECT
    threads.thread_id, messages.position, messages.committed_at, messages.message_id,
    messages.body
FROM threads
JOIN messages ON messages.thread_key = threads.thread_key
    AND messages.position = (
        SELECT newest.position
        FROM messages AS newest
        WHERE newest.thread_key = threads.thread_key
            AND newest.position >= threads.message_count - CAST(:number AS bigint)
            AND newest.visibility = 'all'
        ORDER BY newest.position DESC
        LIMIT 1
    )
WHERE threads.thread_id {in:ids}
ORDER BY threads.thread_id
