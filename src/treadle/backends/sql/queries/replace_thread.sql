UPDATE threads
SET version = :version,
    updated_at = :updated_at,
    message_count = :message_count,
    patch_count = :patch_count,
    resource_id = :resource_id,
    parent_thread_id = :parent_thread_id
WHERE thread_id = :thread_id
