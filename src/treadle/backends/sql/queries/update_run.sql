UPDATE runs
SET thread_id = :thread_id,
    parent_run_id = :parent_run_id,
    status = :status,
    origin = :origin,
    termination_code = :termination_code,
    created_at = :created_at,
    updated_at = :updated_at,
    body = :body
WHERE run_id = :run_id
