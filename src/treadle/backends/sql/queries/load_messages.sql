SELECT messages.position, messages.committed_at, messages.message_id, messages.body
FROM threads
JOIN messages USING (thread_key)
WHERE threads.thread_id = :thread_id
ORDER BY messages.position
