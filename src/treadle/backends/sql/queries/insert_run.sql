INSERT INTO runs (
    run_id, thread_id, parent_run_id, status, origin, termination_code, created_at, updated_at,
    body
)
VALUES (
    :run_id, :thread_id, :parent_run_id, :status, :origin, :termination_code, :created_at,
    :updated_at, :body
)
