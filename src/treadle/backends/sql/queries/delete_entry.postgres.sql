DELETE FROM entries
USING json_to_recordset(:rows::json) AS given (entry_id text)
WHERE entries.entry_id = given.entry_id
