DELETE FROM thread_bodies
USING json_to_recordset(:rows::json) AS given (thread_id text)
JOIN threads USING (thread_id)
WHERE thread_bodies.thread_key = threads.thread_key
