UPDATE thread_bodies
SET state = given.state
FROM json_to_recordset(:rows::json) AS given (thread_id text, state text)
JOIN threads USING (thread_id)
WHERE thread_bodies.thread_key = threads.thread_key
