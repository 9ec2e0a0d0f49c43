-- A row whose thread is missing is named by its key; a rule reports it.
SELECT
    COALESCE(threads.thread_id, '#' || removed_messages.thread_key) AS thread_id,
    position, removed_messages.version AS version, committed_at, message_id, body
FROM removed_messages
LEFT JOIN threads USING (thread_key)
