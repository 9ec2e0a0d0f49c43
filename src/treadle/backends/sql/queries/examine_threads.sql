SELECT {columns:threads}, body, state, changed_at, changed_id, owner
FROM threads
JOIN thread_bodies USING (thread_key)
LEFT JOIN thread_times USING (thread_key)
