-- A row whose thread is missing is named by its key; a rule reports it.
SELECT
    COALESCE(threads.thread_id, '#' || deltas.thread_key) AS thread_id,
    deltas.version AS version, committed_at, body, COALESCE(message_count, 0) AS message_count
FROM deltas
LEFT JOIN threads USING (thread_key)
