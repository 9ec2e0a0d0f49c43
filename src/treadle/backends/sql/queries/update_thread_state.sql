UPDATE thread_bodies
SET state = :state
WHERE thread_key = (SELECT thread_key FROM threads WHERE thread_id = :thread_id)
