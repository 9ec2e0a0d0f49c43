INSERT INTO thread_bodies (thread_key, body, state)
SELECT thread_key, :body, :state FROM threads WHERE thread_id = :thread_id
