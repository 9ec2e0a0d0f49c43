INSERT INTO messages (thread_key, position, message_id, visibility, run_id, body)
SELECT thread_key, :position, :message_id, :visibility, :run_id, :body
FROM threads
WHERE thread_id = :thread_id
