DELETE FROM runs
USING json_to_recordset(:rows::json) AS given (run_id text)
WHERE runs.run_id = given.run_id
