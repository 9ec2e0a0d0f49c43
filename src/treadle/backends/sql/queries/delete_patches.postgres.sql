DELETE FROM patches
USING json_to_recordset(:rows::json) AS given (thread_id text)
JOIN threads USING (thread_id)
WHERE patches.thread_key = threads.thread_key
