UPDATE threads
SET version = given.version,
    updated_at = given.updated_at,
    message_count = given.message_count,
    patch_count = given.patch_count
FROM json_to_recordset(:rows::json) AS given (
    thread_id text, version bigint, updated_at bigint, message_count bigint, patch_count bigint
)
WHERE threads.thread_id = given.thread_id
