SELECT position, committed_at, message_id, body
FROM messages
WHERE thread_key = (SELECT thread_key FROM threads WHERE thread_id = :thread_id)
    AND {conditions}
ORDER BY position {direction}
LIMIT :limit
