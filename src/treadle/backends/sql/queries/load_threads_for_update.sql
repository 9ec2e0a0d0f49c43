SELECT thread_key, thread_id, version, updated_at, message_count, patch_count
FROM threads
WHERE thread_id IN (SELECT value FROM json_each(:ids))
