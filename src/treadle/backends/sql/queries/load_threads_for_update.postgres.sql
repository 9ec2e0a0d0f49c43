SELECT thread_key, thread_id, version, updated_at, message_count, patch_count
FROM threads
WHERE thread_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)))
ORDER BY thread_id
FOR NO KEY UPDATE
