INSERT INTO threads (
    thread_id, version, updated_at, message_count, patch_count, resource_id, parent_thread_id
)
SELECT
    thread_id, version, updated_at, message_count, patch_count, resource_id, parent_thread_id
FROM json_to_recordset(:rows::json) AS given (
    thread_id text, version bigint, updated_at bigint, message_count bigint, patch_count bigint,
    resource_id text, parent_thread_id text
)
