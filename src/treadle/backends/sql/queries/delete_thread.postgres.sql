DELETE FROM threads
USING json_to_recordset(:rows::json) AS given (thread_id text)
WHERE threads.thread_id = given.thread_id
