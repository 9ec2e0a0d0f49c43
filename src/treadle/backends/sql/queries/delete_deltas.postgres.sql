DELETE FROM deltas
USING json_to_recordset(:rows::json) AS given (thread_id text)
JOIN threads USING (thread_id)
WHERE deltas.thread_key = threads.thread_key
