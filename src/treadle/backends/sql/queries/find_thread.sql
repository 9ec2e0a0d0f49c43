SELECT thread_key, version
FROM threads
WHERE thread_id = :thread_id
