SELECT patches.body
FROM threads
JOIN patches USING (thread_key)
WHERE threads.thread_id = :thread_id
ORDER BY patches.position
