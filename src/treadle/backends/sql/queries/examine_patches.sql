-- A row whose thread is missing is named by its key; a rule reports it.
SELECT COALESCE(threads.thread_id, '#' || patches.thread_key) AS thread_id, position, body
FROM patches
LEFT JOIN threads USING (thread_key)
