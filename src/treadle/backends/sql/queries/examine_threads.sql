SELECT {columns:threads}, body, state
FROM threads
JOIN thread_bodies USING (thread_key)
