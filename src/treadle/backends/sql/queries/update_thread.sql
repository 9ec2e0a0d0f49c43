UPDATE threads
SET version = :version,
    updated_at = :updated_at,
    message_count = :message_count,
    patch_count = :patch_count
WHERE thread_id = :thread_id
