INSERT INTO patches (thread_key, position, body)
SELECT thread_key, :position, :body FROM threads WHERE thread_id = :thread_id
