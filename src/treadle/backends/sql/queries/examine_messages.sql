-- A row whose thread is missing is named by its key; a rule reports it.
SELECT
    COALESCE(threads.thread_id, '#' || messages.thread_key) AS thread_id,
    position, message_id, visibility, run_id, committed_at, body
FROM messages
LEFT JOIN threads USING (thread_key)
