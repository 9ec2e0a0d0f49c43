INSERT INTO messages (thread_key, position, message_id, visibility, run_id, body)
SELECT
    threads.thread_key, given.position, given.message_id, given.visibility, given.run_id, given.body
FROM json_to_recordset(:rows::json) AS given (
    thread_id text, position bigint, message_id text, visibility text, run_id text, body text
)
JOIN threads USING (thread_id)
