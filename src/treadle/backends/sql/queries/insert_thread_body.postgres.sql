INSERT INTO thread_bodies (thread_key, body, state)
SELECT threads.thread_key, given.body, given.state
FROM json_to_recordset(:rows::json) AS given (thread_id text, body text, state text)
JOIN threads USING (thread_id)
