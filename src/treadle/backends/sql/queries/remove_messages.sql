DELETE FROM messages
WHERE thread_key = (SELECT thread_key FROM threads WHERE thread_id = :thread_id)
    AND position >= :position AND position < :message_count
