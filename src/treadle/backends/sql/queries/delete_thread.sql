DELETE FROM threads
WHERE thread_id = :thread_id
