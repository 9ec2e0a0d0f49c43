DELETE FROM payloads
USING json_to_recordset(:rows::json) AS given (entry_id text)
WHERE payloads.entry_id = given.entry_id
