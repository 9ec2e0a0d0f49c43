SELECT
    removed_messages.position, removed_messages.version, removed_messages.committed_at,
    removed_messages.body
FROM threads
JOIN removed_messages USING (thread_key)
WHERE threads.thread_id = :thread_id
ORDER BY removed_messages.version, removed_messages.position
