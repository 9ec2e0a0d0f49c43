INSERT INTO runs (
    run_id, thread_id, parent_run_id, status, origin, termination_code, created_at, updated_at,
    body
)
SELECT
    run_id, thread_id, parent_run_id, status, origin, termination_code, created_at, updated_at,
    body
FROM json_to_recordset(:rows::json) AS given (
    run_id text, thread_id text, parent_run_id text, status text, origin text,
    termination_code text, created_at bigint, updated_at bigint, body text
)
