INSERT INTO threads (
    thread_id, version, updated_at, message_count, patch_count, resource_id, parent_thread_id
)
VALUES (
    :thread_id, :version, :updated_at, :message_count, :patch_count, :resource_id,
    :parent_thread_id
)
