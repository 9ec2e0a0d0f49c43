SELECT deltas.version, deltas.committed_at, deltas.body
FROM threads
JOIN deltas USING (thread_key)
WHERE threads.thread_id = :thread_id AND deltas.version > :after_version
    AND deltas.version <= :until_version
    AND deltas.version <= threads.version -- for PostgreSQL: see remove_messages
ORDER BY deltas.version
