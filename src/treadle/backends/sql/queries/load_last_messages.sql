-- The messages of a thread at a position and later, and at least so many before them or its end.
SELECT
    threads.thread_id, messages.position, messages.committed_at, messages.message_id,
    messages.body
FROM threads
JOIN messages ON messages.thread_key = threads.thread_key
    AND messages.position >= CASE
        WHEN :first < threads.message_count THEN :first
        ELSE threads.message_count
    END - :number
    AND messages.position < threads.message_count -- for PostgreSQL: see remove_messages
WHERE threads.thread_id = :thread_id
ORDER BY messages.position
