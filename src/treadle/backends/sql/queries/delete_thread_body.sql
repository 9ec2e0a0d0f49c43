DELETE FROM thread_bodies
WHERE thread_key = (SELECT thread_key FROM threads WHERE thread_id = :thread_id)
