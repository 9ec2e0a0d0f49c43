INSERT INTO runs (
    run_id, thread_id, parent_run_id, status, origin, termination_code, created_at, updated_at,
    body
)
VALUES (
    :run_id, :thread_id, :parent_run_id, :status, :origin, :termination_code, :created_at,
    :updated_at, :body
)
ON CONFLICT (run_id) DO UPDATE
SET thread_id = excluded.thread_id,
    parent_run_id = excluded.parent_run_id,
    status = excluded.status,
    origin = excluded.origin,
    termination_code = excluded.termination_code,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    body = excluded.body
