INSERT INTO deltas (thread_key, version, committed_at, body)
SELECT threads.thread_key, given.version, given.committed_at, given.body
FROM json_to_recordset(:rows::json) AS given (
    thread_id text, version bigint, committed_at bigint, body text
)
JOIN threads USING (thread_id)
