-- A row whose thread is missing is named by its key; a rule reports it.
SELECT
    COALESCE(threads.thread_id, '#' || deltas.thread_key) AS thread_id,
    deltas.version AS version, committed_at, body,
    (
        SELECT MAX(position)
        FROM (
            SELECT message_count - 1 AS position
            UNION ALL
            SELECT removed_messages.position
            FROM removed_messages
            WHERE removed_messages.thread_key = deltas.thread_key
        ) AS known
    ) AS last_position
FROM deltas
LEFT JOIN threads USING (thread_key)
