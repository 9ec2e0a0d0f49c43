INSERT INTO patches (thread_key, position, body)
SELECT threads.thread_key, given.position, given.body
FROM json_to_recordset(:rows::json) AS given (thread_id text, position bigint, body text)
JOIN threads USING (thread_id)
