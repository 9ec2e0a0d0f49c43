SELECT
    removed_messages.position, removed_messages.committed_at, removed_messages.message_id,
    removed_messages.body, removed_messages.version
FROM threads
JOIN removed_messages USING (thread_key)
WHERE threads.thread_id = :thread_id AND removed_messages.position {in:positions bigint}
    AND removed_messages.version > :after_version
ORDER BY removed_messages.position, removed_messages.version
