SELECT thread_id, version, updated_at, message_count, patch_count, thread_key
FROM threads
WHERE thread_id {in:ids}
ORDER BY thread_id
{lock:FOR NO KEY UPDATE}
