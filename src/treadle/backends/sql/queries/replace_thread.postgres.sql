UPDATE threads
SET version = given.version,
    updated_at = given.updated_at,
    message_count = given.message_count,
    patch_count = given.patch_count,
    resource_id = given.resource_id,
    parent_thread_id = given.parent_thread_id
FROM json_to_recordset(:rows::json) AS given (
    thread_id text, version bigint, updated_at bigint, message_count bigint, patch_count bigint,
    resource_id text, parent_thread_id text
)
WHERE threads.thread_id = given.thread_id
