UPDATE runs
SET thread_id = given.thread_id,
    parent_run_id = given.parent_run_id,
    status = given.status,
    origin = given.origin,
    termination_code = given.termination_code,
    created_at = given.created_at,
    updated_at = given.updated_at,
    body = given.body
FROM json_to_recordset(:rows::json) AS given (
    run_id text, thread_id text, parent_run_id text, status text, origin text,
    termination_code text, created_at bigint, updated_at bigint, body text
)
WHERE runs.run_id = given.run_id
