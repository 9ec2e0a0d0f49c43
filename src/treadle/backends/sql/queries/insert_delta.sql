INSERT INTO deltas (thread_key, version, committed_at, body)
SELECT thread_key, :version, :committed_at, :body FROM threads WHERE thread_id = :thread_id
