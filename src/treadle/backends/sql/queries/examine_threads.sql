SELECT {columns:threads}, body, state, changed_at, changed_id, owner
FROM {threads_with_times:LEFT JOIN}
JOIN thread_bodies USING (thread_key)
